//! The list of cases.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tests::system::Live;

/// One case.
pub struct Case {
    /// `module::function`
    pub name: &'static str,
    /// What it does.
    pub run: fn(Arc<Live>) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

macro_rules! cases {
    ($($module:ident: $($case:ident),+;)+) => {
        &[$($(Case {
            name: concat!(stringify!($module), "::", stringify!($case)),
            run: |live| Box::pin(async move { crate::$module::$case(&live).await }),
        }),+),+]
    };
}

/// Each has merchants of its own, so they do not meet.
pub const SIDE_BY_SIDE: &[Case] = cases! {
    happy: a_card_is_changed, hold;
};

/// These look at what all the others have left.
pub const AT_THE_END: &[Case] = &[];
