//! The event of an HTTP API (payload format 2.0), parsed tolerantly: no input may end the process.
//!
//! The gateway matches the route and names it in the event. The path serves function URLs only, which have no routes: behind a
//! custom domain it can begin with a base path.

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
    path_parameters: Value,
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
    /// The route that the gateway matched, as it spells it: `POST /v1/rebinds/{id}/cancel`, or `$default`.
    pub route_key: String,
    /// That route, if it is one of the app's.
    pub route: Option<Route>,
    /// The method, in upper case.
    pub method: String,
    /// The path as sent, without the query.
    pub path: String,
    /// The path parameter, decoded; empty for a route without one.
    pub path_id: String,
    /// The headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The decoded query. The last value of a repeated name wins.
    pub query: BTreeMap<String, String>,
    /// The body's bytes; `None` for invalid base64.
    pub body: Option<Vec<u8>>,
    /// The caller's address as seen by the gateway.
    pub source_ip: String,
    /// The session of an AWS role, if IAM has authorised the request; otherwise empty.
    pub caller_arn: String,
    /// When the gateway received it, in milliseconds since 1970.
    pub received_ms: Option<i64>,
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
        // No route has two parameters.
        let mut parameters = event.path_parameters.as_object().into_iter().flatten();
        let route_key = context("/routeKey");
        Self {
            route: Route::of_key(&route_key),
            path_id: parameters
                .next()
                .map_or_else(String::new, |(_, id)| text(id)),
            route_key,
            method: context("/http/method").to_ascii_uppercase(),
            path: text(&event.raw_path),
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
            caller_arn: context("/authorizer/iam/userArn"),
            received_ms: event
                .request_context
                .pointer("/timeEpoch")
                .and_then(Value::as_i64),
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
            "rawQueryString": "a={|\"<&b=%E4%B8%AD+x&%ff&=&&c",
            "headers": {"Host": "a:99999", "X-One": 1},
            "requestContext": {"http": {"sourceIp": "203.0.113.9"}, "routeKey": Route::GetCards.label()},
        }));
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
            json!({"headers": [], "requestContext": 7, "body": {"a": 1}, "pathParameters": null}),
            json!({"pathParameters": {"id": [1]}, "requestContext": {"routeKey": 1}}),
        ] {
            let request = request(event);
            assert_eq!((request.route, request.path_id.as_str()), (None, ""));
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

    /// Fields as in AWS's documentation of payload format 2.0 for a custom domain with the base path `pay`: it stays in the path.
    #[test]
    fn base_path_does_not_matter() {
        let request = request(json!({
            "version": "2.0",
            "routeKey": "POST /v1/rebinds/{id}/cancel",
            "rawPath": "/pay/v1/rebinds/rbd_1/cancel",
            "rawQueryString": "",
            "headers": {"host": "api.example.com"},
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "api-id",
                "domainName": "api.example.com",
                "domainPrefix": "api",
                "http": {
                    "method": "POST",
                    "path": "/pay/v1/rebinds/rbd_1/cancel",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1",
                    "userAgent": "agent"
                },
                "requestId": "id",
                "routeKey": "POST /v1/rebinds/{id}/cancel",
                "stage": "$default",
                "time": "12/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_583_348_638_390_i64
            },
            "pathParameters": {"id": "rbd_1"},
            "isBase64Encoded": false
        }));
        assert_eq!(request.route, Some(Route::CancelRebind));
        assert_eq!(request.path_id, "rbd_1");
    }
}
