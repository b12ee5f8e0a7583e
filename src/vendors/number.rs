//! Whole numbers as vendors write them: `30`, `30.0` and `"30"` are the same.

use serde_json::Value;

pub(crate) fn whole(value: &Value) -> Option<i64> {
    let float = |number: f64| {
        let digits = (number.fract() == 0.0).then(|| format!("{number:.0}"));
        digits.and_then(|digits| digits.parse().ok())
    };
    value
        .as_i64()
        .or_else(|| float(value.as_f64()?))
        .or_else(|| value.as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_number_is_read_however_it_is_written() {
        for written in [
            json!(30),
            json!(30.0),
            json!(3e1),
            json!("30"),
            json!(" 30 "),
        ] {
            assert_eq!(whole(&written), Some(30), "{written}");
        }
        assert_eq!(whole(&json!(-1.0)), Some(-1));
        assert_eq!(whole(&json!(1_591_786_766.0)), Some(1_591_786_766));
        for other in [
            json!(30.5),
            json!("30.5"),
            json!(1e300),
            json!(null),
            json!(true),
            json!([30]),
        ] {
            assert_eq!(whole(&other), None, "{other}");
        }
    }
}
