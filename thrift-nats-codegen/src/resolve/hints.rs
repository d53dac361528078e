//! Suggestions for names and values that are not known.

/// The name that is most similar to `wanted`, if it is similar enough for a suggestion.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may differ, as in rustc. In names of one or two letters only the case may, or one may be
    // missing.
    let most = |name: &str| match wanted.chars().count() {
        0 | 1 => 0,
        2 => usize::from(name.len() > 2),
        len => len / 3,
    };
    names
        .filter(|name| *name != wanted && name.len().abs_diff(wanted.len()) <= wanted.len().max(3))
        .map(|name| {
            let same = name.eq_ignore_ascii_case(wanted);
            (if same { 0 } else { strsim::damerau_levenshtein(wanted, name) }, name)
        })
        .filter(|(distance, name)| *distance <= most(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Thrift's form of a value of another language.
pub(super) fn value(written: &str) -> Option<&'static str> {
    Some(match written {
        _ if written.eq_ignore_ascii_case("true") => "write `true`",
        _ if written.eq_ignore_ascii_case("false") => "write `false`",
        "yes" | "on" | "YES" | "ON" => "write `true`",
        "no" | "off" | "NO" | "OFF" => "write `false`",
        "null" | "NULL" | "nullptr" | "nil" | "None" | "undefined" => {
            "Thrift has no such value: leave the default away, and make the field `optional`"
        }
        "inf" | "Infinity" | "INFINITY" => "write `1e999`",
        _ => return None,
    })
}

/// The name of a base type in Thrift for one of another language or version.
pub(super) fn base_type(written: &str) -> Option<&'static str> {
    Some(match written {
        "slist" | "str" | "String" | "text" | "varchar" => "string",
        "boolean" | "Bool" => "bool",
        "int8" | "char" | "I8" => "i8",
        "short" | "int16" | "I16" => "i16",
        "int" | "integer" | "int32" | "I32" => "i32",
        "long" | "int64" | "I64" => "i64",
        "float" | "float32" | "float64" | "f32" | "f64" | "Double" => "double",
        "bytes" | "blob" | "buffer" => "binary",
        "UUID" | "guid" => "uuid",
        "array" | "vector" | "Vec" | "seq" => "list<…>",
        "dict" | "hash" | "Map" => "map<…, …>",
        "u8" | "uint8" | "u16" | "uint16" => "i32",
        "u32" | "uint32" | "u64" | "uint64" => "i64",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        let names = ["Item", "Order", "string"];
        assert_eq!(nearest("Itme", names.into_iter()), Some("Item"));
        assert_eq!(nearest("order", names.into_iter()), Some("Order"));
        assert_eq!(nearest("Customer", names.into_iter()), None);
        assert_eq!(nearest("i3", ["i8", "i32"].into_iter()), Some("i32"));
        // All names of one letter are near to each other; none is suggested.
        assert_eq!(nearest("T", ["A", "i8"].into_iter()), None);
        assert_eq!(nearest("a", ["B", "A"].into_iter()), Some("A"));
    }
}
