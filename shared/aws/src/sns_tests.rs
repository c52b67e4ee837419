//! Tests the signed message and the classification of SNS's answers, scripted at the SDK's HTTP boundary.

use super::*;
use crate::sns::publishing_client;
use aws_sdk_sns::config::{BehaviorVersion, Region};
use aws_sdk_sns::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use percent_encoding::percent_decode_str;
use std::sync::{Arc, Mutex};

const PHONE: &str = "+8613900000001";
const TEXT: &str = "验证码880088，切勿告诉任何人。";

/// SNS with one answer, as status and body; `None` breaks the connection. Keeps the form of the request.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    answer: Option<(u16, String)>,
    form: Arc<Mutex<String>>,
}

impl Script {
    pub(crate) fn of(answer: Option<(u16, String)>) -> Self {
        Self {
            answer,
            form: Arc::default(),
        }
    }

    /// A client of this SNS, without retries.
    pub(crate) fn client(&self) -> Client {
        let connector = SharedHttpConnector::new(self.clone());
        let credentials = Credentials::new("AKID", "SECRET", None, None, "tests");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        publishing_client(&config)
    }

    /// The form of the last request.
    pub(crate) fn form(&self) -> String {
        self.form.lock().unwrap().clone()
    }
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let form = std::str::from_utf8(request.body().bytes().unwrap()).unwrap();
        let form = percent_decode_str(form).decode_utf8().unwrap();
        *self.form.lock().unwrap() = form.into_owned();
        HttpConnectorFuture::ready(match &self.answer {
            Some((status, xml)) => {
                let status = (*status).try_into().unwrap();
                Ok(HttpResponse::new(status, SdkBody::from(xml.as_str())))
            }
            None => Err(ConnectorError::io("connection reset".into())),
        })
    }
}

async fn send(answer: Option<(u16, String)>) -> (Result<SmsAnswer, PortError>, String) {
    let script = Script::of(answer);
    let signature = SmsSignature::parse("示例收单").unwrap();
    let sns = Sns::new(script.client(), signature);
    let message = Message {
        template: "otp_card",
        values: Vec::new(),
        text: TEXT.to_owned(),
    };
    let answer = sns.send(&Phone::parse(PHONE).unwrap(), &message).await;
    (answer, script.form())
}

pub(crate) fn error(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>1</RequestId></ErrorResponse>"
    )
}

#[tokio::test]
async fn sms_is_signed_and_its_errors_are_classified() {
    let done = "<PublishResponse><PublishResult/></PublishResponse>".to_owned();
    let (sent, form) = send(Some((200, done))).await;
    assert_eq!(sent.unwrap(), SmsAnswer::Accepted);
    let signed = format!("Message=【示例收单】{TEXT}&");
    assert!(form.contains(&signed), "{form}");

    for (code, message) in [
        ("OptedOut", "The phone is opted out"),
        (
            "InvalidParameter",
            "Invalid parameter: PhoneNumber Reason: +8613900000001 is not valid",
        ),
        ("InvalidParameterValue", "The phone number is opted out"),
    ] {
        let (sent, _) = send(Some((400, error(code, message)))).await;
        assert_eq!(sent.unwrap(), SmsAnswer::PhoneRefused, "{code}");
    }
    let ours = [
        Some((400, error("InvalidParameter", "Invalid parameter: Message"))),
        Some((400, error("Throttling", "Rate exceeded for phone number"))),
        Some((
            403,
            error("AuthorizationError", "not authorized for PhoneNumber"),
        )),
        Some((
            403,
            error("SignatureDoesNotMatch", "the request's signature"),
        )),
        Some((500, error("InternalError", "PhoneNumber"))),
        Some((503, "busy".to_owned())),
        None,
    ];
    for answer in ours {
        let (sent, _) = send(answer.clone()).await;
        let error = sent.unwrap_err();
        assert!(
            matches!(error, PortError::Transient(..)),
            "{answer:?}: {error}"
        );
        assert!(!error.to_string().contains("1390000"), "{error}");
    }
}
