//! The agreement, for display.

#[cfg(feature = "schema")]
use crate::schema;
use domain::agreement::{AgreementText, ConsentId};
use domain::lang::Lang;
use domain::policy::Policy;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Serialize;

/// The agreement about one new card.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Agreement {
    /// The version in force.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub version: String,
    /// The language of the text.
    pub lang: Lang,
    /// Not repeated in the body.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub title: String,
    /// Markdown: headings, numbered lists, bold.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub body_markdown: String,
    /// Of the UTF-8 bytes of `body_markdown`.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Sha256"))]
    pub sha256: String,
    /// A signature before this is refused.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub min_read_s: i64,
    /// The required consents, in this order.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub consents: Vec<Consent>,
    /// Opaque; goes back with the signature.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024)))]
    pub reading_token: String,
}

impl Agreement {
    /// The text as shown, and the token that proves when.
    #[must_use]
    pub fn new(text: AgreementText, reading_token: String, policy: &Policy) -> Self {
        let AgreementText {
            version,
            lang,
            title,
            body_markdown,
            sha256,
            consents,
        } = text;
        let consents = consents.into_iter();
        Self {
            version: version.to_owned(),
            lang,
            title: title.to_owned(),
            body_markdown,
            sha256,
            min_read_s: policy.agreement_min_read_s,
            consents: consents
                .map(|consent| Consent {
                    id: consent.id,
                    text: consent.text,
                })
                .collect(),
            reading_token,
        }
    }
}

/// One consent as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Consent {
    /// The id to send with a signature.
    pub id: ConsentId,
    /// One sentence, plain text.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub text: String,
}
