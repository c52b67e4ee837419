//! Every code has a case.

use std::collections::{BTreeMap, BTreeSet};

/// x
pub fn each_has_its_case(_met: &BTreeMap<&str, BTreeSet<&str>>) {}
