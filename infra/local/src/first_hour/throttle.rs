//! Whether the gateway's rate counts each route by itself.

use bytes::Bytes;
use http::Request;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;

use super::Hour;
use crate::error::Error;
use crate::http::Http;

/// Routes that answer a request without a session at once, and that have no rate of their own.
const ROUTES: [&str; 2] = ["/v1/cards", "/v1/rebinds"];
/// How long each flood lasts.
const SECONDS: u32 = 5;
/// The time in which the gateway's budget is full again.
const PAUSE: Duration = Duration::from_secs(10);
/// The local cloud has no rates, so that a few requests show all of it.
const LOCAL_RATE: u32 = 10;

/// How many requests were answered by a function, and how many by the gateway with 429.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Answers {
    answered: usize,
    limited: usize,
}

/// Floods one route, then both.
pub(super) async fn run(hour: &mut Hour) -> Result<(), Error> {
    let rate = match hour.is_aws() {
        true => parameter(hour, "RequestsPerSecond").saturating_mul(3),
        false => LOCAL_RATE,
    };
    let url = hour.system.endpoints().api_url.clone();
    let one = flood(&url, &ROUTES[..1], rate).await?;
    if hour.is_aws() {
        tokio::time::sleep(PAUSE).await;
    }
    let both = flood(&url, &ROUTES, rate).await?;
    let answer = format!("{rate}/s to one route: {one:?}; to each of two: {both:?}");
    hour.report.judge_on_aws(
        "RequestsPerSecond counts each route by itself",
        one.limited > 0 && is_per_route(one, both),
        answer,
        "the local cloud has no rates",
    );
    Ok(())
}

fn parameter(hour: &Hour, name: &str) -> u32 {
    hour.system.stack().parameter(name).parse().unwrap_or(1)
}

/// Two routes get about twice as many answers as one, and not as many.
const fn is_per_route(one: Answers, both: Answers) -> bool {
    both.answered * 2 > one.answered * 3
}

async fn flood(url: &str, routes: &[&str], rate: u32) -> Result<Answers, Error> {
    let http = Http::new();
    let mut requests = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    for _ in 0..rate * SECONDS {
        ticks.tick().await;
        for route in routes {
            let request = Request::get(format!("{url}{route}")).body(Bytes::new());
            let request = request.map_err(|error| Error::Unreachable {
                what: (*route).to_owned(),
                cause: error.to_string(),
            })?;
            let http = http.clone();
            requests.spawn(async move { http.send(request).await.map(|reply| reply.status) });
        }
    }
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    while let Some(status) = requests.join_next().await {
        if let Ok(Ok(status)) = status {
            *statuses.entry(status).or_default() += 1;
        }
    }
    let of = |status| statuses.get(&status).copied().unwrap_or_default();
    Ok(Answers {
        answered: of(401),
        limited: of(429),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_rate_leaves_each_route_half() {
        let answers = |answered, limited| Answers { answered, limited };
        assert!(is_per_route(answers(350, 400), answers(700, 800)));
        assert!(!is_per_route(answers(350, 400), answers(360, 1_140)));
    }
}
