//! The share of an enumeration that a run covers: a fixed sample in the developer's suite, everything with `STRESS=all`.

/// Returns true if this run covers everything.
#[must_use]
pub fn is_whole() -> bool {
    std::env::var("STRESS").is_ok_and(|value| value == "all")
}

/// Every `stride`-th element from the `phase`-th on, and at least one; all with `STRESS=all`. If the phase advances from list
/// to list, every kind of element occurs, provided that the stride is coprime to the period of the kinds.
#[must_use]
pub fn sample<T>(all: Vec<T>, stride: usize, phase: usize) -> Vec<T> {
    if is_whole() {
        all
    } else {
        every(all, stride, phase)
    }
}

fn every<T>(all: Vec<T>, stride: usize, phase: usize) -> Vec<T> {
    let first = phase % stride.min(all.len()).max(1);
    all.into_iter().skip(first).step_by(stride).collect()
}

#[cfg(test)]
mod tests {
    use super::every;

    #[test]
    fn a_sample_is_never_empty() {
        for (length, stride, phase, expected) in [
            (0, 3, 1, vec![]),
            (1, 3, 7, vec![0]),
            (2, 3, 3, vec![1]),
            (7, 3, 0, vec![0, 3, 6]),
            (7, 3, 4, vec![1, 4]),
        ] {
            assert_eq!(every((0..length).collect(), stride, phase), expected);
        }
    }
}
