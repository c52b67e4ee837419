//! The services that deliver push notifications.

use super::vocabulary::vocabulary;

vocabulary! {
    /// The service that delivers push notifications.
    pub enum PushPlatform {
        /// Apple Push Notification service.
        Apns = "apns",
        /// Firebase Cloud Messaging.
        Fcm = "fcm",
    }
}

#[cfg(test)]
mod tests {
    use super::PushPlatform;

    #[test]
    fn platform_round_trips() {
        for &platform in PushPlatform::ALL {
            assert_eq!(PushPlatform::parse(platform.as_str()), Some(platform));
        }
        for strange in ["", "APNS", "gcm", "apns "] {
            assert_eq!(PushPlatform::parse(strange), None, "{strange}");
        }
    }
}
