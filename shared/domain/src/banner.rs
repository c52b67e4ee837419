//! The banners in the reply to a login.

use super::banner_code::BannerCode;
use super::format::document_expiry::DocumentExpiry;
use super::lang::Lang;
use super::policy::{DAY_S, Policy};
use super::texts;
use super::time::Timestamp;

/// One banner. It informs and blocks nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banner {
    /// The subject.
    pub code: BannerCode,
    /// The text for the merchant, in Chinese.
    pub detail_zh: String,
    /// The text in English.
    pub detail_en: String,
    /// With [`BannerCode::IdExpiring`]: whole days to the document's last day, 0 on that day.
    pub days_left: Option<i64>,
    /// With [`BannerCode::IdExpiring`]: the last second of that day in Shanghai.
    pub until: Option<Timestamp>,
}

/// The banners about the registered ID document at `now`. A document is valid until the end of its last day. A document
/// without a last day gets no banner.
#[must_use]
pub fn notices(expiry: &DocumentExpiry, policy: &Policy, now: Timestamp) -> Vec<Banner> {
    about_document(expiry, policy, now).into_iter().collect()
}

fn about_document(expiry: &DocumentExpiry, policy: &Policy, now: Timestamp) -> Option<Banner> {
    let days_left = expiry.days_left_at(now)?;
    if expiry.is_over_at(now) {
        let text = texts::banners::ID_EXPIRED;
        return Some(Banner {
            code: BannerCode::IdExpired,
            detail_zh: text.in_lang(Lang::ZhCn).to_owned(),
            detail_en: text.in_lang(Lang::En).to_owned(),
            days_left: None,
            until: None,
        });
    }
    if days_left > policy.id_banner_days {
        return None;
    }
    let text = if days_left <= policy.id_banner_urgent_days {
        texts::banners::ID_EXPIRING_URGENT
    } else if days_left <= policy.id_banner_soon_days {
        texts::banners::ID_EXPIRING_SOON
    } else {
        texts::banners::ID_EXPIRING
    };
    let when = match days_left {
        0 => texts::banners::WHEN_TODAY,
        1 => texts::banners::WHEN_TOMORROW,
        _ => texts::banners::WHEN_DAYS,
    };
    let last_day = Timestamp::start_of_shanghai_day(now.shanghai_day() + days_left);
    let detail = |lang| {
        let when = when.in_lang(lang).replace("{days}", &days_left.to_string());
        text.in_lang(lang).replace("{when}", &when)
    };
    Some(Banner {
        code: BannerCode::IdExpiring,
        detail_zh: detail(Lang::ZhCn),
        detail_en: detail(Lang::En),
        days_left: Some(days_left),
        until: Some(last_day.plus_s(DAY_S - 1)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn last_day() -> DocumentExpiry {
        DocumentExpiry::parse("2026-11-22").unwrap()
    }

    fn until() -> Timestamp {
        Timestamp::parse_rfc3339("2026-11-22T23:59:59+08:00").unwrap()
    }

    fn only(now: Timestamp) -> Banner {
        let mut notices = notices(&last_day(), &Policy::CURRENT, now);
        assert_eq!(notices.len(), 1);
        notices.remove(0)
    }

    fn days_before(days: i64) -> Banner {
        only(until().plus_s(-days * DAY_S))
    }

    #[test]
    fn banner_starts_90_days_before_expiry() {
        let first = until().plus_s(1 - 91 * DAY_S);
        assert_eq!(notices(&last_day(), &Policy::CURRENT, first.plus_s(-1)), []);
        let notice = only(first);
        assert_eq!(notice.code, BannerCode::IdExpiring);
        assert_eq!(notice.days_left, Some(90));
        assert_eq!(notice.until, Some(until()));
    }

    #[test]
    fn wording_changes_at_each_threshold() {
        let plan = |notice: &Banner| notice.detail_en.contains("Plan");
        let soon = |notice: &Banner| notice.detail_en.contains("soon");
        let urgent = |notice: &Banner| notice.detail_en.starts_with("Urgent");
        for days in 0..=Policy::CURRENT.id_banner_days {
            let notice = days_before(days);
            assert_eq!(plan(&notice), days > 30, "{days}");
            assert_eq!(soon(&notice), (8..=30).contains(&days), "{days}");
            assert_eq!(urgent(&notice), days <= 7, "{days}");
            assert_eq!(notice.detail_zh.contains("提前"), plan(&notice), "{days}");
            assert_eq!(notice.detail_zh.contains("尽快"), soon(&notice), "{days}");
            assert_eq!(notice.detail_zh.contains("紧急"), urgent(&notice), "{days}");
        }
    }

    #[test]
    fn document_expires_after_its_last_day() {
        let last = only(until());
        assert_eq!(
            (last.code, last.days_left),
            (BannerCode::IdExpiring, Some(0))
        );
        let over = only(until().plus_s(1));
        assert_eq!(over.code, BannerCode::IdExpired);
        assert_eq!((over.days_left, over.until), (None, None));
        assert_eq!(only(until().plus_s(1_000 * DAY_S)), over);
    }

    #[test]
    fn long_term_document_has_no_banner() {
        for now in [Timestamp::MIN, until(), Timestamp::MAX] {
            assert_eq!(
                notices(&DocumentExpiry::LongTerm, &Policy::CURRENT, now),
                []
            );
        }
    }

    #[test]
    fn texts_read_as_specified() {
        assert_eq!(
            days_before(25).detail_zh,
            "您登记的证件还有25天到期，请尽快换证并联系客服更新，过期后将不能更换结算卡。"
        );
        assert_eq!(
            days_before(90).detail_en,
            "The registered ID document expires in 90 days. Plan its renewal, then have support record the new one."
        );
        assert_eq!(
            days_before(1).detail_en,
            "Urgent: the registered ID document expires tomorrow. Renew it now and have support record the new one, \
             or the settlement card cannot be changed."
        );
        assert!(days_before(0).detail_zh.contains("证件今天到期，"));
        assert!(days_before(1).detail_zh.contains("证件明天到期，"));
    }

    proptest! {
        #[test]
        fn banner_has_texts_and_correct_days(from_last_s in -200 * DAY_S..200 * DAY_S) {
            let now = until().plus_s(from_last_s);
            for notice in notices(&last_day(), &Policy::CURRENT, now) {
                prop_assert!(notice.detail_en.is_ascii() && notice.detail_en.ends_with('.'));
                prop_assert!(notice.detail_zh.ends_with('。'));
                match notice.code {
                    BannerCode::IdExpired => prop_assert!(from_last_s > 0),
                    BannerCode::IdExpiring => {
                        prop_assert_eq!(notice.days_left, Some(-from_last_s / DAY_S));
                        prop_assert_eq!(notice.until, Some(until()));
                    }
                }
            }
        }

        #[test]
        fn arbitrary_input_never_panics(now_s: i64, days in 0_i64..1_000_000) {
            let now = Timestamp::from_epoch_s(now_s);
            let day = Timestamp::from_epoch_s(days * DAY_S).date_shanghai();
            prop_assert!(notices(&DocumentExpiry::On(day), &Policy::CURRENT, now).len() <= 1);
        }
    }
}
