use tests::system::Live;

pub async fn a_card_is_changed(live: &Live) {
    let merchant = live.merchant().await;
    let app = live.app(&merchant).await;
    let t = std::time::Instant::now();
    app.activate(&live.card()).await;
    println!("activated in {:?}", t.elapsed());
    println!("{:?}", live.notices(&merchant.phone, 1).await);
    println!("{:?}", t.elapsed());
}
pub async fn hold(live: &Live) {
    if std::env::var("E2E").is_ok_and(|v| v == "hold") {
        println!(
            "{}",
            serde_json::to_string(live.system.endpoints()).unwrap()
        );
        tokio::time::sleep(std::time::Duration::from_secs(100000)).await;
    }
}
