//! The problem document of each [`ErrorCode`]: one table from codes to HTTP.
//!
//! `detail_zh` addresses the merchant and may be shown as it is; `detail_en` addresses the app's developer. Both name
//! the next step. Neither names the element of a comparison that did not match, because that would turn every refusal
//! into an oracle.

use domain::error_code::ErrorCode;

/// The constant properties of a code, independent of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The HTTP status (contract, section 5).
    pub status: u16,
    /// The problem's `title`: short English, the same for every occurrence.
    pub title: &'static str,
    /// The problem's `detail_zh`: for the merchant.
    pub detail_zh: &'static str,
    /// The problem's `detail_en`: for the developer.
    pub detail_en: &'static str,
    /// The same request may succeed later without any change: only time has to pass (`retry_after_s`, if known).
    pub retryable: bool,
}

/// Prefix of every problem `type`; the code follows.
///
/// A tag URI (RFC 4151) names a problem without promising a page, as RFC 9457 section 3.1.1 allows. The domain
/// `.example` is reserved.
pub const TYPE_PREFIX: &str = "tag:settlement-rebind.example,2026:";

/// The problem's `type`, for example `tag:settlement-rebind.example,2026:OTP_WRONG`.
#[must_use]
pub fn type_uri(code: ErrorCode) -> String {
    format!("{TYPE_PREFIX}{code}")
}

const fn last(
    status: u16,
    title: &'static str,
    detail_zh: &'static str,
    detail_en: &'static str,
) -> Entry {
    Entry {
        status,
        title,
        detail_zh,
        detail_en,
        retryable: false,
    }
}

const fn wait(
    status: u16,
    title: &'static str,
    detail_zh: &'static str,
    detail_en: &'static str,
) -> Entry {
    Entry {
        retryable: true,
        ..last(status, title, detail_zh, detail_en)
    }
}

/// The row of a code. `last` rows require a change by the caller, `wait` rows only time.
#[must_use]
#[rustfmt::skip] // a table: one row, one shape
pub const fn entry(code: ErrorCode) -> Entry {
    match code {
        ErrorCode::RequestMalformed => last(400, "Malformed request",
            "请求格式有误，请更新应用后重试。",
            "The body is not JSON of the documented shape, or a header is missing or not allowed here. Compare the request with the API description."),

        ErrorCode::AuthBadCredentials => last(401, "Bad credentials",
            "账号或密码不正确，请核对后重新输入。",
            "Account and password do not belong together. Ask the merchant to enter both again."),
        ErrorCode::SessionExpired => last(401, "Session expired",
            "登录已失效，请重新登录。",
            "The token is missing or no longer valid. Create a new session; open rebinds are kept and can be continued."),

        ErrorCode::StepUpRequired => last(403, "Fresh proof required",
            "为保护资金安全，请按提示重新验证身份后继续。",
            "The login or a proof is too old for this step, or the code was asked for in another session. Follow next_actions first; no attempt was used."),

        ErrorCode::DeviceTooNew => last(403, "Device too new",
            "这台设备登录时间过短，暂不能进行此操作，请使用常用设备，或联系客服。",
            "This device has not been known long enough for this change. Use a device that has logged in before, or log in again on another day."),

        ErrorCode::NotFound => last(404, "Not found",
            "没有找到相应的内容，请返回上一页刷新。",
            "There is no such path, method or object for this merchant. Read the current state with GET /v1/cards."),

        ErrorCode::StepOutOfOrder => last(409, "Step out of order",
            "当前状态不能进行这一步，请刷新后按页面提示继续。",
            "The rebind, card or payout is in another state, or no more of its kind can be added. Read it again and do one of next_actions, where there are any."),
        ErrorCode::RequestInProgress => last(409, "Another rebind is open",
            "已有一笔换卡申请正在办理，请继续办理或先取消它。",
            "A merchant has at most one open rebind. Continue or cancel the one that GET /v1/cards shows as open_rebind."),
        ErrorCode::RebindCooldown => wait(409, "Cooldown after a change",
            "结算卡刚更换过，冷静期内不能再次更换，请在冷静期结束后再试。",
            "The last change of card is too recent. Wait until cooldown_until, the exact end."),
        ErrorCode::QuietPeriod => wait(409, "Quiet period after a security change",
            "手机号、密码或姓名刚变更过，为保护资金安全，请稍后再试。",
            "A contact, the password or the name was changed a short while ago. Send the request again after retry_after_s."),
        ErrorCode::HoldRunning => wait(409, "A hold is running",
            "结算卡刚更换，新卡生效前不能修改结算设置，请稍后再试。",
            "Settlement settings cannot change until the new card takes effect. Send the request again after retry_after_s."),
        ErrorCode::CardSameAsCurrent => last(409, "Card already in use",
            "这张卡已绑定到您的账户，请换用另一张卡；如是备用卡，请直接启用。",
            "The card is already bound to this merchant. Ask for another card, or activate this one if it is a standby card."),
        ErrorCode::CardBoundElsewhere => last(409, "Card bound elsewhere",
            "这张卡暂不能绑定到本账户，请换用本人的另一张卡，或联系客服。",
            "The card cannot be bound to this merchant. Start a new rebind with another card, or contact support."),
        ErrorCode::AgreementStale => last(409, "Agreement changed",
            "协议内容已更新，请重新阅读并签署。",
            "The signature names another version or hash, or its reading_token is used up or too old. Get the agreement again and sign what it returns."),
        ErrorCode::VersionConflict => wait(409, "Concurrent change",
            "操作正在处理中，请稍候再试。",
            "Another request of this merchant was decided at the same moment. Send the same request again; nothing was changed and no attempt was used."),
        ErrorCode::StandbyNotReady => wait(409, "Standby card not ready",
            "备用卡尚在等待期内，请到可用时间后再启用。",
            "A standby card can be activated from its usable_at on, which GET /v1/cards shows. Send the request again then."),
        ErrorCode::LastCardCannotUnbind => last(409, "Last card cannot be unbound",
            "正在使用的或唯一可用的结算卡不能解绑，请先更换结算卡。",
            "Payouts need a card: the active one and the only usable one stay bound. Change to another card first, by a rebind or by activating a standby card."),
        ErrorCode::PayoutInFlight => wait(409, "Card may still receive a payout",
            "这张卡可能还有款项到账，请稍后再解绑。",
            "A replaced card is kept until its safety period is over and its last payout has been completed. Send the request again after retry_after_s, or when GET /v1/payouts shows none to it."),

        ErrorCode::RequestExpired => last(410, "Rebind expired",
            "本次换卡申请已过期，请重新发起。",
            "The rebind is past expires_at. Start a new one."),

        ErrorCode::BodyTooLarge => last(413, "Body too large",
            "提交的内容过大，请更新应用后重试。",
            "A body may have at most 16 KiB."),

        ErrorCode::CardFormat => last(422, "Card number format",
            "卡号应为15至19位数字，请核对后重新输入。",
            "card_number must be 15 to 19 digits without separators."),
        ErrorCode::CardLuhn => last(422, "Card number check digit",
            "卡号的校验位不符，请对照银行卡核对；确认无误后可继续提交。",
            "The check digit does not fit: probably a digit is wrong or two are swapped. Ask the merchant; a confirmed number goes on with number_confirmed true, and the bank decides."),
        ErrorCode::CardTypeCredit => last(422, "Credit card",
            "结算卡不能使用信用卡，请换用本人的借记卡，如有疑问请联系客服。",
            "Credit and quasi-credit cards cannot receive payouts. Ask for a debit card; support can check a card that is one."),
        ErrorCode::CardTypePrepaid => last(422, "Prepaid card",
            "结算卡不能使用预付卡，请换用本人的借记卡，如有疑问请联系客服。",
            "Prepaid cards cannot receive payouts. Ask for a debit card; support can check a card that is one."),
        ErrorCode::CardTypeUnknown => last(422, "Type of card unknown",
            "暂时无法确认这张卡是借记卡，请换用本人的另一张借记卡，或联系客服。",
            "Neither the prefix table nor the bank knows the card as a debit card. Start a new rebind with another debit card, or contact support."),
        ErrorCode::CardClassIi => last(422, "Class II account",
            "这张卡是二类账户，不能用于结算，请换用一类账户的借记卡，或到开户银行升级。",
            "The bank reports that this is a Class II account. Start a new rebind with a card of a Class I account."),
        ErrorCode::HolderNotMerchant => last(422, "Name is not the registered one",
            "姓名与商户登记的结算人不一致，请填写登记的姓名。",
            "The name must be the one that is registered for settlement. It is compared, never taken over; a changed name goes through support."),
        ErrorCode::PhoneFormat => last(422, "Phone number format",
            "请输入11位的大陆手机号。",
            "A mainland mobile number: 1, then 3 to 9, then nine digits; +86 is optional."),
        ErrorCode::EntityNeedsSupport => last(422, "Companies change their card with support",
            "企业商户更换结算账户请联系客服办理。",
            "This merchant is a company. Its settlement account is changed by support, not in the app."),
        ErrorCode::IdFormat => last(422, "Document format",
            "证件信息格式有误，请对照证件核对后重新输入。",
            "document_number must have the form of its document_type, a resident ID 18 characters with a real date in it; document_expires_on a real date as YYYY-MM-DD, or long_term."),
        ErrorCode::IdChecksum => last(422, "Document check character",
            "证件号码有误，请对照证件核对后重新输入。",
            "The check character of document_number does not fit: a character is wrong or two are swapped."),
        ErrorCode::IdMismatch => last(422, "Document does not match",
            "证件信息与登记的不一致，请对照证件核对后重新输入。",
            "The document is not the registered one. attempts_left counts the remaining attempts."),
        ErrorCode::IdExpired => last(422, "Registered document expired",
            "您登记的证件已过有效期，请先联系客服更新证件。",
            "The registered document is past its date. It must be renewed with support before the card can be changed; payouts continue."),
        ErrorCode::OtpWrong => last(422, "Wrong code",
            "验证码不正确，请以最近一条短信为准，重新输入。",
            "The code is not the last one that was sent for this step. attempts_left counts the remaining attempts."),
        ErrorCode::OtpExpired => last(422, "Code expired",
            "验证码已过期，请重新获取。",
            "The code is past the challenge's expires_at, or a newer one was sent meanwhile. Enter the newest, or ask for another."),
        ErrorCode::FreezeCodeFormat => last(422, "Freeze code format",
            "冻结码为8位，由大写字母和数字2至7组成，请对照通知短信重新输入。",
            "freeze_code must be the 8 characters of the notification: the letters A to Z and the digits 2 to 7; case and blanks are ignored. Nothing was counted or frozen."),
        ErrorCode::OtpTooMany => last(422, "Too many wrong codes",
            "验证码输错次数过多，本次操作已终止，请稍后重新发起。",
            "All attempts for this code are used. A rebind has ended: start a new one. A standby card stays: activate it after retry_after_s."),
        ErrorCode::ConsentMissing => last(422, "Consent missing",
            "请逐项勾选全部同意事项后再签署。",
            "consents must hold each id that the agreement lists. Each one is to be given by the merchant separately."),
        ErrorCode::AgreementNotRead => wait(422, "Agreement not read",
            "请先完整阅读协议，再进行签署。",
            "The signature came before min_read_s was over. Send it again after retry_after_s, with the same reading_token."),
        ErrorCode::ElementsMismatch => last(422, "Card check failed",
            "银行未能核验通过，请确认是本人的卡和该卡在银行预留的信息，然后重新发起。",
            "The bank does not confirm that the details belong together and gives no reason. Start a new rebind after checking them with the merchant."),
        ErrorCode::CardDormant => last(422, "Card dormant",
            "这张卡尚未启用或已休眠，请先到开户银行激活，或换用另一张卡。",
            "The bank reports that the card is not in use. Start a new rebind with another card, or after it was activated."),
        ErrorCode::CardBlocked => last(422, "Card blocked",
            "这张卡不能使用，请换用另一张卡，或咨询开户银行。",
            "The bank has blocked the card for good. Start a new rebind with another card."),
        ErrorCode::CardInvalid => last(422, "Card not known to the bank",
            "银行未查到这张卡，请核对卡号，或换用另一张卡。",
            "The bank does not know the card. Start a new rebind with the right number or another card."),
        ErrorCode::CardExpired => last(422, "Card expired",
            "这张卡已过有效期，请换用另一张卡。",
            "The bank reports that the card is past its date. Start a new rebind with another card."),
        ErrorCode::CardRestricted => last(422, "Card restricted",
            "这张卡的使用受到银行限制，请换用另一张卡，或咨询开户银行。",
            "The bank restricts the card. Start a new rebind with another card, or after the bank has lifted it."),
        ErrorCode::MicroDepositWrong => last(422, "Wrong deposit code",
            "校验码不正确，请核对入账附言末尾的6位字符；多次输错后需重新发起申请。",
            "The code is not the one that the deposit's descriptor ends in. attempts_left counts the remaining attempts; with none left the rebind has ended: start a new one."),
        ErrorCode::MicroDepositExpired => last(422, "Deposit expired",
            "小额打款验证已过期，请重新发起申请。",
            "The time to confirm the deposit is over and the rebind has expired. Start a new one."),
        ErrorCode::MicroDepositReturned => last(422, "Deposit returned",
            "小额打款被银行退回，请确认是本人的卡，或换用另一张卡后重新发起。",
            "The bank returned the deposit: the card is not proven and the rebind has ended. Start a new one."),
        ErrorCode::T0NotAllowed => last(422, "T+0 not available",
            "开户时间较短，暂不能选择当日到账，请选择其他结算周期。",
            "The merchant was opened too recently for cycle T0. Choose T1 or D1."),
        ErrorCode::LimitAboveTier => last(422, "Limit above tier",
            "每日限额超出您的等级上限，请填写较低的金额。",
            "daily_limit_fen is above what the merchant's tier allows. Send a lower one."),
        ErrorCode::IdempotencyMismatch => last(422, "Idempotency key reused",
            "请求重复且内容不一致，请返回后重新提交。",
            "This Idempotency-Key was used with another body before. Use a new key for a new request."),

        ErrorCode::AccountFrozen => last(423, "Account frozen",
            "账户已冻结，目前只能查看，解冻请联系客服。",
            "The account was frozen with a freeze code. Login and reads work, changes do not, until support unfreezes it."),

        ErrorCode::AuthThrottled => wait(429, "Too many failed logins",
            "登录失败次数过多，请稍后再试。",
            "Logins are delayed after failures. Send the request again after retry_after_s; the password was not compared."),
        ErrorCode::DailyRequestLimit => wait(429, "Too many requests of this kind",
            "近24小时内此类申请的次数已达上限，请稍后再试。",
            "The limit of such requests in the last 24 h is reached. Send the request again after retry_after_s."),
        ErrorCode::OtpSendLimit => wait(429, "Too many codes sent",
            "验证码发送过于频繁，请稍后再获取。",
            "A code was sent to this phone moments ago, or too many recently. Ask again after retry_after_s; an unexpired code stays valid."),
        ErrorCode::OtpTryLimit => wait(429, "Too many wrong codes today",
            "近24小时内验证码输错次数过多，暂时不能再试。如非本人操作，请修改密码并联系客服。",
            "The limit of wrong codes in the last 24 h is reached. No code was compared and no attempt was used. Send the code again after retry_after_s, or request another one if it has expired by then."),
        ErrorCode::CardCheckLimit => wait(429, "Too many card checks",
            "核验银行卡的次数已达上限，请稍后再试，或换用另一张卡。",
            "The limit of bank checks is reached, for this card or for the day. Send the request again after retry_after_s."),

        ErrorCode::Internal => wait(500, "Internal error",
            "系统出现问题，请稍后再试；如仍不成功，请将问题编号告知客服。",
            "A fault of this service. Send the same request again with the same Idempotency-Key; report support_ref if it fails again."),

        ErrorCode::UpstreamUnknown => wait(502, "Bank answer not known yet",
            "银行结果尚未返回，请稍后再试，无需重新填写。",
            "The bank has not given a clear answer. Send the same request again: the same check is asked for again, and nothing was counted."),

        ErrorCode::UpstreamBusy => wait(503, "Bank busy",
            "银行系统繁忙，请稍后再试。",
            "The bank is busy. Send the same request again after retry_after_s; nothing was counted."),
        ErrorCode::UpstreamQuota => wait(503, "Bank quota reached",
            "银行今日的核验次数已满，请明天再试。",
            "The bank does not check this card again today. Send the same request again after retry_after_s; nothing was counted."),
        ErrorCode::OtpChannelDown => wait(503, "Code could not be sent",
            "短信未能发出，请稍后再试；如提示联系客服，请与客服核对手机号。",
            "The message was not accepted; nothing was counted. If retryable, ask for the code again after retry_after_s; otherwise this phone is refused, and only support can help."),
        ErrorCode::ChangesStopped => wait(503, "Changes stopped",
            "更换结算卡及相关设置暂停服务，请稍后再试；查询、取消和冻结不受影响。",
            "All changes are stopped for now; nothing was counted. Reads, cancellations and freezes work. Send the same request again after retry_after_s."),

        // Around the front door only.
        ErrorCode::FrontDoorRequired => last(403, "Front door required",
            "请通过官方应用或网址访问。",
            "This address of the API is closed. Send the request to the public address that the operator of this API names."),

        // To operators only.
        ErrorCode::OperatorUnknown => last(403, "Not an operator",
            "您不是本系统的操作员，请使用授权角色的会话。",
            "Call with a session of a role in OperatorRoleArns, and with the name of the person as the name of the session."),
        ErrorCode::SecondPersonRequired => last(403, "Second person required",
            "复核人不能是申请人，请由另一人复核。",
            "The person who made a proposal cannot approve it, in whatever role. Ask another person."),
        ErrorCode::ProposalStale => last(409, "Stale proposal",
            "申请已过期，或其对象已变化，请重新申请。",
            "The proposal is too old, its subject has changed, or the digest is not the one shown. Show it again, or propose again."),

        ErrorCode::RecordChanged => last(412, "Record has changed",
            "商户资料已变更，请重新查看后再操作。",
            "The record has another version than If-Match states. Show the merchant, and decide again."),

        // Never the code of a reply. The core system gets the first two; clients show the last as an `ended_reason`.
        ErrorCode::ReleaseLimit => wait(429, "Too many releases",
            "近24小时内该笔出款的卡号提取次数已达上限，请稍后再试。",
            "The card number was released for this payout too often in the last 24 h. Report the payout as sent or returned, or wait."),
        ErrorCode::CoreKeyInvalid => last(422, "No usable encryption key",
            "没有可用的加密公钥，出款未开始。",
            "CoreEncryptionKeys is missing or malformed, or two operators have not registered one of its keys. Nothing has changed."),
        ErrorCode::TestTxnFailed => last(422, "Test transaction failed",
            "测试转账被银行退回，本次换卡已撤销，请换用另一张卡重新发起。",
            "The test transfer to the new card was returned and the change was undone. Start a new rebind with another card."),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{entry, type_uri};
    use domain::error_code::ErrorCode;

    fn is_han(c: char) -> bool {
        ('\u{4e00}'..='\u{9fff}').contains(&c)
    }

    #[test]
    fn texts_are_in_their_language() {
        for &code in ErrorCode::ALL {
            let row = entry(code);
            let zh = row.detail_zh;
            assert!(
                zh.chars().filter(|&c| is_han(c)).count() >= 8,
                "{code}: {zh}"
            );
            assert!(zh.ends_with('。'), "{code}: {zh}");
            assert!(
                zh.chars()
                    .all(|c| is_han(c) || c.is_ascii_digit() || "，。；、".contains(c)),
                "{code}: {zh}"
            );
            assert!(
                row.detail_en.is_ascii() && row.detail_en.ends_with('.'),
                "{code}"
            );
            assert!(row.title.is_ascii() && !row.title.ends_with('.'), "{code}");
            assert!((3..=48).contains(&row.title.len()), "{code}");
        }
    }

    #[test]
    fn texts_are_final_and_unique() {
        let mut seen = HashSet::new();
        for &code in ErrorCode::ALL {
            let row = entry(code);
            for text in [row.title, row.detail_zh, row.detail_en] {
                assert!(seen.insert(text), "{code} repeats: {text}");
                for sign in ['{', '}', '<', '>', '%', '$', '…'] {
                    assert!(!text.contains(sign), "{code}: {text}");
                }
                for word in ["TODO", "TBD", "FIXME", "xxx", "lorem"] {
                    assert!(!text.contains(word), "{code}: {text}");
                }
            }
        }
    }

    /// When the bank or the register refuses, the texts must not name the element.
    #[test]
    fn mismatch_text_hides_wrong_element() {
        let cases: [(ErrorCode, &[&str]); 3] = [
            (
                ErrorCode::AuthBadCredentials,
                &[
                    "密码错误",
                    "账号不存在",
                    "unknown account",
                    "wrong password",
                ],
            ),
            (
                ErrorCode::IdMismatch,
                &["号码", "有效期", "日期", "number", "expir", "date"],
            ),
            (
                ErrorCode::ElementsMismatch,
                &[
                    "姓名", "手机", "证件", "卡号", "name", "phone", "number", "holder",
                ],
            ),
        ];
        for (code, words) in cases {
            let row = entry(code);
            for word in words {
                assert!(!row.detail_zh.contains(word), "{code} says {word}");
                assert!(!row.detail_en.contains(word), "{code} says {word}");
            }
        }
    }

    #[test]
    fn retryable_agrees_with_status() {
        for &code in ErrorCode::ALL {
            let row = entry(code);
            match row.status {
                429 | 500..=599 => assert!(row.retryable, "{code}"),
                400..=404 | 410 | 413 | 423 => assert!(!row.retryable, "{code}"),
                _ => {}
            }
        }
        assert!(entry(ErrorCode::VersionConflict).retryable);
        assert!(!entry(ErrorCode::OtpWrong).retryable);
    }

    #[test]
    fn type_uri_contains_error_code() {
        assert_eq!(
            type_uri(ErrorCode::OtpWrong),
            "tag:settlement-rebind.example,2026:OTP_WRONG"
        );
    }
}
