//! Retries after a concurrent write or a short outage.

use crate::error::HandlerError;
use crate::ports::PortError;
use std::time::Duration;
use tokio::time::Instant;

/// Retry limits: number, duration and pauses.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum number of retries after the first call.
    pub retries_max: u32,
    /// No retry starts later than this after the first call.
    pub during: Duration,
    /// Upper bound of the first pause. The bound doubles with each further pause.
    pub first_pause_ms: u64,
    /// Upper bound of every pause.
    pub pause_max_ms: u64,
    /// Retry after a concurrent write.
    pub after_conflict: bool,
    /// Also retry after a transient failure, when it is unknown whether the write took effect.
    pub after_transient: bool,
}

impl Limits {
    /// A request of the app. After one call that times out, there is time for one retry and for the reply.
    pub const REQUEST: Self = Self {
        retries_max: 5,
        during: Duration::from_secs(6),
        first_pause_ms: 32,
        pause_max_ms: 512,
        after_conflict: true,
        after_transient: false,
    };
    /// The removal of an OTP that was not delivered. The OTP must not stay, so retry after any failure.
    pub const UNDO: Self = Self {
        after_transient: true,
        ..Self::REQUEST
    };
    /// A freeze. A thief who keeps the account busy must not prevent it, so the number of retries is unlimited.
    pub const FREEZE: Self = Self {
        retries_max: u32::MAX,
        during: Duration::from_secs(5),
        first_pause_ms: 32,
        pause_max_ms: 32,
        after_conflict: true,
        after_transient: false,
    };
    /// The mark of a sent message: without it, the message would be sent twice. A conflict means that the lease is
    /// lost.
    pub const MARK: Self = Self {
        retries_max: 1,
        first_pause_ms: 50,
        after_conflict: false,
        after_transient: true,
        ..Self::REQUEST
    };
    /// No retry here: the caller repeats its own read (payouts), or the next run does (clean-up).
    pub const ONCE: Self = Self {
        retries_max: 0,
        ..Self::REQUEST
    };
}

/// The retry state of one transaction.
#[derive(Debug)]
pub struct Backoff {
    limits: Limits,
    retries: u32,
    began: Instant,
}

impl Backoff {
    /// Starts the clock, before the first call.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            retries: 0,
            began: Instant::now(),
        }
    }

    /// Sleeps for a random time before the next retry, so that clients in conflict do not meet again.
    ///
    /// # Errors
    /// `error`, when no retry is left.
    pub async fn pause(&mut self, error: PortError) -> Result<(), PortError> {
        if self.retries >= self.limits.retries_max || self.began.elapsed() > self.limits.during {
            return Err(error);
        }
        let doublings = self.retries.min(16);
        let longest = (self.limits.first_pause_ms << doublings).min(self.limits.pause_max_ms);
        let [high, low] = crate::crypto::random::<2>()?;
        let chance = u64::from(u16::from_be_bytes([high, low]));
        self.retries += 1;
        // A random pause between a quarter of the upper bound and the bound.
        let pause_ms = longest / 4 + chance % (longest - longest / 4).max(1);
        tokio::time::sleep(Duration::from_millis(pause_ms.max(1))).await;
        Ok(())
    }
}

/// Repeats `call` while it fails for a reason that `limits` retries.
///
/// # Errors
/// The error of the last call.
pub async fn retry<T>(
    limits: Limits,
    mut call: impl AsyncFnMut() -> Result<T, HandlerError>,
) -> Result<T, HandlerError> {
    let mut backoff = Backoff::new(limits);
    loop {
        match call().await {
            Err(HandlerError::Failed(error @ PortError::Conflict)) if limits.after_conflict => {
                backoff.pause(error).await?;
            }
            Err(HandlerError::Failed(error @ PortError::Transient(..)))
                if limits.after_transient =>
            {
                backoff.pause(error).await?;
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn calls_of(limits: Limits) -> (u32, Duration) {
        let began = Instant::now();
        let mut calls = 0;
        let _: Result<(), _> = retry(limits, async || {
            calls += 1;
            Err(PortError::Conflict.into())
        })
        .await;
        (calls, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn request_gives_up_after_five_retries() {
        let (calls, took) = calls_of(Limits::REQUEST).await;
        assert_eq!(calls, 6);
        assert!(took < Limits::REQUEST.during, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn freeze_retries_for_five_seconds() {
        let (calls, took) = calls_of(Limits::FREEZE).await;
        assert!(calls > 100, "{calls}");
        assert!((5..6).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn once_never_repeats() {
        assert_eq!(calls_of(Limits::ONCE).await.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn transient_failure_is_repeated_only_if_asked() {
        for (limits, expected) in [(Limits::REQUEST, 1), (Limits::UNDO, 6)] {
            let mut calls = 0;
            let _: Result<(), _> = retry(limits, async || {
                calls += 1;
                Err(PortError::Transient("the table", "timeout".to_owned()).into())
            })
            .await;
            assert_eq!(calls, expected);
        }
    }
}
