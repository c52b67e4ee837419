use super::*;

const POLICY: &Policy = &Policy::CURRENT;

fn t(s: i64) -> Timestamp {
    Timestamp::from_epoch_s(1_800_000_000 + s)
}

fn known(hash: &str, first_day: i64, last_day: i64) -> KnownDevice {
    KnownDevice {
        hash: hash.to_owned(),
        first_seen: t(first_day * DAY_S),
        last_used: t(last_day * DAY_S),
        failures: Failures::default(),
    }
}

/// As many devices as an account may have, `d0` the oldest, all used today.
fn full() -> Logins {
    let days = (-10..).take(POLICY.known_devices_max);
    Logins {
        devices: days
            .enumerate()
            .map(|(index, day)| known(&format!("d{index}"), day, 0))
            .collect(),
        ..Logins::default()
    }
}

fn session(tag: &str, first_seen: i64) -> SessionDevice {
    SessionDevice {
        tag: DeviceTag(tag.to_owned()),
        first_seen: t(first_seen),
        known: true,
    }
}

#[test]
fn known_device_keeps_its_first_login() {
    let mut logins = full();
    let device = logins.admit("d3", POLICY, t(60));
    assert_eq!((device.known, device.first_seen), (true, t(-7 * DAY_S)));
    assert_eq!(logins.device("d3").unwrap().last_used, t(60));
    // A clock that goes back does not make the last use earlier.
    logins.admit("d3", POLICY, t(-60));
    assert_eq!(logins.device("d3").unwrap().last_used, t(60));
}

#[test]
fn two_new_devices_a_day_become_known() {
    let mut logins = full();
    for (at, name, expected) in [
        (0, "a", true),
        (10, "b", true),
        (20, "c", false),
        (DAY_S - 1, "c", false),
        (DAY_S, "c", true),
        (DAY_S + 1, "d", false),
        (DAY_S + 10, "d", true),
    ] {
        let device = logins.admit(name, POLICY, t(at));
        assert_eq!(device.known, expected, "{name} at {at}");
        assert_eq!(device.first_seen, t(at));
        assert_eq!(logins.device(name).is_some(), expected);
        assert_eq!(logins.devices.len(), POLICY.known_devices_max);
    }
}

#[test]
fn new_device_replaces_the_youngest() {
    let mut logins = full();
    for day in 1..100 {
        logins.admit(&format!("stranger {day}"), POLICY, t(day * DAY_S));
        for owner in 0..9 {
            logins.admit(&format!("d{owner}"), POLICY, t(day * DAY_S));
        }
    }
    // Only the youngest of the owner's devices had to go.
    let left = (0..10).filter(|owner| logins.device(&format!("d{owner}")).is_some());
    assert_eq!(left.collect::<Vec<_>>(), (0..9).collect::<Vec<_>>());
}

#[test]
fn device_unused_for_90_days_goes_first() {
    let mut logins = full();
    logins.devices[4].last_used = t(1 - 90 * DAY_S);
    let mut later = logins.clone();
    logins.admit("new", POLICY, t(0));
    assert!(logins.device("d4").is_some() && logins.device("d9").is_none());
    later.admit("new", POLICY, t(1));
    assert!(later.device("d4").is_none() && later.device("d9").is_some());
}

#[test]
fn session_replaces_its_own_device_first() {
    let mut logins = Logins::default();
    let devices = [("a", 0), ("b", 10), ("c", 20), ("d", 30), ("e", 5)];
    for (expected, (tag, first_seen)) in (0_u8..).zip(devices) {
        let device = session(tag, first_seen);
        let slot = logins.slot(&device, POLICY, t(100)).unwrap();
        assert_eq!(slot, expected);
        logins.occupy(slot, &device, POLICY, t(100));
    }
    // Its own slot; then the slot of the youngest device, d.
    assert_eq!(logins.slot(&session("b", 10), POLICY, t(101)), Some(1));
    assert_eq!(logins.slot(&session("x", 30), POLICY, t(101)), Some(3));
    assert_eq!(logins.slot(&session("x", -1), POLICY, t(101)), Some(3));
    // Every slot belongs to an older device.
    assert_eq!(logins.slot(&session("x", 31), POLICY, t(101)), None);
    let over = t(100 + POLICY.session_max_s);
    assert_eq!(logins.slot(&session("x", 31), POLICY, over), Some(0));
}
