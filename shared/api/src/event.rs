//! The event of an HTTP API (payload format 2.0), parsed tolerantly: no input may end the process.

use super::routes::Route;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The API Gateway event, limited to the fields in use. A missing or malformed field reads as empty.
///
/// Neither this type nor [`Request`] has a `Debug`: bodies hold card numbers, headers hold tokens.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpEvent {
    raw_path: Value,
    raw_query_string: Value,
    headers: Value,
    request_context: Value,
    body: Value,
    is_base64_encoded: Value,
}

/// One request.
#[derive(Clone, Default)]
pub struct Request {
    /// The method, in upper case.
    pub method: String,
    /// The path as sent, without the query.
    pub path: String,
    /// The route that method and path match.
    pub route: Option<Route>,
    /// The path parameter; empty for a route without one.
    pub path_id: String,
    /// The headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The decoded query. The last value of a repeated name wins.
    pub query: BTreeMap<String, String>,
    /// The body's bytes; `None` for invalid base64.
    pub body: Option<Vec<u8>>,
    /// The caller's address as seen by the gateway.
    pub source_ip: String,
    /// The route that the gateway matched; empty behind another gateway.
    pub route_key: String,
    /// The session of an AWS role, if IAM has authorised the request; otherwise empty.
    pub caller_arn: String,
    /// The gateway's request id, shown as `support_ref` in problem documents.
    pub request_id: String,
}

impl From<HttpEvent> for Request {
    fn from(event: HttpEvent) -> Self {
        let context = |path: &str| {
            event
                .request_context
                .pointer(path)
                .map_or_else(String::new, text)
        };
        let headers = match &event.headers {
            Value::Object(headers) => headers
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), text(value)))
                .collect(),
            _ => BTreeMap::new(),
        };
        let body = text(&event.body);
        let method = context("/http/method").to_ascii_uppercase();
        let path = text(&event.raw_path);
        let matched = Route::parse(&method, &path);
        Self {
            route: matched.map(|(route, _)| route),
            path_id: matched.map_or("", |(_, id)| id).to_owned(),
            method,
            path,
            headers,
            query: form_urlencoded::parse(text(&event.raw_query_string).as_bytes())
                .into_owned()
                .collect(),
            body: if event.is_base64_encoded == Value::Bool(true) {
                decode(&body)
            } else {
                Some(body.into_bytes())
            },
            source_ip: context("/http/sourceIp"),
            route_key: context("/routeKey"),
            caller_arn: context("/authorizer/iam/userArn"),
            request_id: context("/requestId"),
        }
    }
}

impl Request {
    /// A header by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn decode(body: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(event: Value) -> Request {
        serde_json::from_value::<HttpEvent>(event).unwrap().into()
    }

    #[test]
    fn tolerates_odd_query_and_host() {
        let request = request(json!({
            "rawPath": Route::GetCards.path(),
            "rawQueryString": "a={|\"<&b=%E4%B8%AD+x&%ff&=&&c",
            "headers": {"Host": "a:99999", "X-One": 1},
            "requestContext": {"http": {"method": "get", "sourceIp": "203.0.113.9"}},
        }));
        assert_eq!(request.method, "GET");
        assert_eq!(request.route, Some(Route::GetCards));
        assert_eq!(request.query.get("a").unwrap(), "{|\"<");
        assert_eq!(request.query.get("b").unwrap(), "中 x");
        assert_eq!(request.header("host"), Some("a:99999"));
        assert_eq!(request.header("x-one"), Some(""));
    }

    #[test]
    fn tolerates_event_of_any_shape() {
        for event in [
            json!({}),
            json!({"headers": [], "requestContext": 7, "body": {"a": 1}, "rawPath": null}),
        ] {
            assert_eq!(request(event).method, "");
        }
    }

    #[test]
    fn reads_plain_and_base64_bodies() {
        assert_eq!(request(json!({"body": "{}"})).body.unwrap(), b"{}");
        assert_eq!(
            request(json!({"body": "e30=", "isBase64Encoded": true}))
                .body
                .unwrap(),
            b"{}"
        );
        assert_eq!(
            request(json!({"body": "%%%", "isBase64Encoded": true})).body,
            None
        );
    }
}
