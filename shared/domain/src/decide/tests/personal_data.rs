//! State, commands and transitions can be logged: their `Debug` output contains no phone, no name and no number.

use super::fixture::*;
use super::states::{accounts, states};
use super::table::rows;

/// Texts that no output may contain: the phones without their country code, and the holder's name.
const PERSONAL: [&str; 3] = ["13900000001", "13900000002", HOLDER];

#[test]
fn debug_shows_no_personal_data() {
    let mut printed = String::new();
    for (name, world) in states().into_iter().chain(accounts()) {
        printed.push_str(&format!(
            "{name}: {:?}\n{:#?}\n",
            world.merchant, world.merchant
        ));
        for command in rows(&world).into_iter().map(|row| row.act) {
            printed.push_str(&format!("{command:?}\n"));
            if let Ok(transition) = world.decide(command) {
                printed.push_str(&format!("{transition:?}\n"));
            }
        }
    }
    for personal in PERSONAL {
        assert!(!printed.contains(personal), "{personal} is printed");
    }
    // The masks are printed, so the values are present and masked.
    for mask in ["139****0001", "139****0002", "PersonName(***)"] {
        assert!(printed.contains(mask), "{mask} is not printed");
    }
}
