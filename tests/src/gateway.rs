//! What the gateway does to an event before a function gets it: it matches the route, and names its parameter.

use api::operator::OperatorRoute;
use api::routes::Route;
use serde_json::{Value, json};

/// Adds the route of the event's method and path. Leaves an event unchanged that is not an object.
pub fn match_route(event: &mut Value) {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let method = text("/requestContext/http/method").unwrap_or_default();
    let path = text("/rawPath").unwrap_or_default();
    let of_app = || Route::parse(method, path).map(|(route, id)| (route.label(), id));
    let of_operator = || OperatorRoute::find(method, path).map(|(route, id)| (route.as_str(), id));
    let (key, id) = of_app()
        .or_else(of_operator)
        .map_or(("$default", String::new()), |(key, id)| {
            (key, id.to_owned())
        });
    let parameter = key.split(['{', '}']).nth(1).map(str::to_owned);
    if let Some(context) = event["requestContext"].as_object_mut() {
        context.insert("routeKey".to_owned(), json!(key));
    }
    if let (Some(name), Some(event)) = (parameter, event.as_object_mut()) {
        event.insert("pathParameters".to_owned(), json!({ name: id }));
    }
}
