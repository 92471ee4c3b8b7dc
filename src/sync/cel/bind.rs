//! JSON → the values that expressions work with. Whole numbers are `int`, as in Kubernetes' own CEL; who manages which field is left out.

use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::{Key, Map};
use serde_json::Value;

/// One value.
pub(super) fn value(json: &Value) -> cel::Value {
    match json {
        Value::Null => cel::Value::Null,
        Value::Bool(value) => cel::Value::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => cel::Value::Int(int),
            (None, Some(uint)) => cel::Value::UInt(uint),
            (None, None) => cel::Value::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(value).collect())),
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| !is_left_out(name));
            let map = kept.map(|(name, field)| (Key::String(Arc::new(name.clone())), value(field)));
            cel::Value::Map(Map { map: Arc::new(map.collect::<HashMap<_, _>>()) })
        }
    }
}

/// Half of a live object, and of no use to anyone who writes an expression.
pub(super) fn is_left_out(name: &str) -> bool {
    name == "managedFields"
}
