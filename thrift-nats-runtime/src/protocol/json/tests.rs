//! Tests of the JSON protocol against known and malformed text.

use bytes::Bytes;
use uuid::Uuid;

use super::*;
use crate::Protocol;
use crate::protocol::tree::Tree;
use crate::protocol::{
    DecodeErrorKind, InputProtocol, Limits, MessageHeader, MessageType, OutputProtocol, SharedText, TType,
    Value, from_bytes, to_bytes,
};

fn written(value: &impl Value) -> String {
    String::from_utf8(to_bytes(Protocol::Json, value).unwrap().to_vec()).unwrap()
}

fn read<T: Value>(text: impl AsRef<[u8]>) -> Result<T, DecodeErrorKind> {
    from_bytes(Protocol::Json, text.as_ref().to_vec()).map_err(|error| error.kind().clone())
}

fn tree(text: &str, ttype: TType) -> Result<Tree, DecodeErrorKind> {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let mut reader = JsonReader::new(&bytes, Limits::DEFAULT);
    let tree = Tree::read(&mut reader, ttype).map_err(|error| error.kind().clone())?;
    reader.end().map_err(|error| error.kind().clone())?;
    Ok(tree)
}

#[test]
fn every_type_has_known_text() {
    for (value, text) in [
        (Tree::Bool(true), "1"),
        (Tree::Bool(false), "0"),
        (Tree::I8(-2), "-2"),
        (Tree::I64(i64::MIN), "-9223372036854775808"),
        (Tree::Double(1.5_f64.to_bits()), "1.5"),
        (Tree::Double(1.0_f64.to_bits()), "1"),
        (Tree::Double(1e300_f64.to_bits()), "1e300"),
        (Tree::Double(f64::NAN.to_bits()), "\"NaN\""),
        (Tree::Double(f64::INFINITY.to_bits()), "\"Infinity\""),
        (Tree::Double(f64::NEG_INFINITY.to_bits()), "\"-Infinity\""),
        (Tree::Uuid(0x0102 << 112), "\"01020000-0000-0000-0000-000000000000\""),
        (Tree::String(b"\xff\xfe\xfd\xfc".into()), "\"//79/A==\""),
        (Tree::Struct(vec![]), "{}"),
        (
            Tree::Struct(vec![(1, Tree::Bool(true)), (-2, Tree::Struct(vec![(3, Tree::I32(4))]))]),
            r#"{"1":{"tf":1},"-2":{"rec":{"3":{"i32":4}}}}"#,
        ),
        (Tree::List(TType::I8, vec![]), r#"["i8",0]"#),
        (Tree::List(TType::I8, vec![Tree::I8(1), Tree::I8(2)]), r#"["i8",2,1,2]"#),
        (
            Tree::Set(TType::List, vec![Tree::List(TType::Bool, vec![Tree::Bool(true)])]),
            r#"["lst",1,["tf",1,1]]"#,
        ),
        (Tree::Map(TType::I8, TType::I8, vec![]), r#"["i8","i8",0,{}]"#),
        (
            Tree::Map(
                TType::I32,
                TType::Bool,
                vec![(Tree::I32(1), Tree::Bool(true)), (Tree::I32(-2), Tree::Bool(false))],
            ),
            r#"["i32","tf",2,{"1":1,"-2":0}]"#,
        ),
        (
            Tree::Map(
                TType::Double,
                TType::Map,
                vec![(
                    Tree::Double(0.5_f64.to_bits()),
                    Tree::Map(TType::Bool, TType::I8, vec![(Tree::Bool(true), Tree::I8(7))]),
                )],
            ),
            r#"["dbl","map",1,{"0.5":["tf","i8",1,{"1":7}]}]"#,
        ),
        // A struct or list as a key is not quoted, nor are the numbers in it.
        (
            Tree::Map(
                TType::Struct,
                TType::List,
                vec![(Tree::Struct(vec![(1, Tree::I32(2))]), Tree::List(TType::I8, vec![Tree::I8(3)]))],
            ),
            r#"["rec","lst",1,{{"1":{"i32":2}}:["i8",1,3]}]"#,
        ),
    ] {
        assert_eq!(String::from_utf8(value.bytes(Protocol::Json)).unwrap(), text, "{value:?}");
        assert_eq!(tree(text, value.ttype()), Ok(value));
    }
}

#[test]
fn control_characters_and_quotes_are_escaped() {
    let text = "a\"/\\\u{1}\u{8}\t\n\u{c}\r\u{1f}\u{7f}é☃😀".to_owned();
    let json = "\"a\\\"/\\\\\\u0001\\b\\t\\n\\f\\r\\u001f\u{7f}é☃😀\"";
    assert_eq!(written(&text), json);
    assert_eq!(read::<String>(json), Ok(text.clone()));
    // Python does not escape control characters.
    let raw = "\"a\\\"/\\\\\u{1}\u{8}\t\n\u{c}\r\u{1f}\u{7f}é☃😀\"";
    assert_eq!(read::<String>(raw), Ok(text));
}

#[test]
fn every_escape_is_read_and_invalid_ones_are_rejected() {
    assert_eq!(read::<String>(r#""\"\\\/\b\f\n\r\t""#).as_deref(), Ok("\"\\/\u{8}\u{c}\n\r\t"));
    assert_eq!(read::<String>(r#""\u00e9\u00E9\u2603""#).as_deref(), Ok("éé☃"));
    assert_eq!(read::<String>(r#""\ud83d\ude00!""#).as_deref(), Ok("😀!"), "surrogate pair");
    for wrong in
        [r#""\x""#, r#""\u12""#, r#""\u12g4""#, r#""\ud83d""#, r#""\ud83d\n""#, r#""\ud83dA""#, r#""\ude00""#]
    {
        assert_eq!(read::<String>(wrong), Err(DecodeErrorKind::InvalidEscape), "{wrong}");
    }
    for open in ["\"", "\"abc", "\"abc\\", "\"abc\\\"", ""] {
        assert_eq!(read::<String>(open), Err(DecodeErrorKind::UnexpectedEnd), "{open}");
    }
}

#[test]
fn base64_is_read_with_and_without_padding() {
    for (text, bytes) in [
        ("", &b""[..]),
        ("YQ", b"a"),
        ("YQ==", b"a"),
        ("YWI", b"ab"),
        ("YWI=", b"ab"),
        ("YWJj", b"abc"),
        ("+/+/", b"\xfb\xff\xbf"),
        (r"+\/+\/", b"\xfb\xff\xbf"),
    ] {
        assert_eq!(read::<Bytes>(format!("\"{text}\"")).as_deref(), Ok(bytes), "{text}");
    }
    for text in ["Y", "Y===", "YQ=a", "Y Q=", "YWJj====", "é"] {
        assert_eq!(read::<Bytes>(format!("\"{text}\"")), Err(DecodeErrorKind::InvalidBase64), "{text}");
    }
}

#[test]
fn nan_and_infinity_are_read_in_every_form() {
    for text in ["\"NaN\"", "NaN", "nan"] {
        assert!(read::<f64>(text).unwrap().is_nan(), "{text}");
    }
    for (text, number) in [
        ("\"Infinity\"", f64::INFINITY),
        ("Infinity", f64::INFINITY),
        ("inf", f64::INFINITY),
        ("\"-Infinity\"", f64::NEG_INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
        ("-inf", f64::NEG_INFINITY),
        ("1", 1.0),
        ("1e2", 100.0),
        ("1E+2", 100.0),
        ("-0.5e-1", -0.05),
        ("\"2.5\"", 2.5),
    ] {
        assert_eq!(read::<f64>(text), Ok(number), "{text}");
    }
    let list = r#"["dbl",4,nan,-inf,inf,1.5]"#;
    assert_eq!(read::<Vec<f64>>(list).unwrap()[1..], [f64::NEG_INFINITY, f64::INFINITY, 1.5]);
    for text in ["\"infinity\"", "\"\"", "1.2.3", "--1", "\"1x\"", "\"+nan\""] {
        assert_eq!(read::<f64>(text), Err(DecodeErrorKind::InvalidNumber), "{text}");
    }
    assert!(matches!(read::<f64>("x"), Err(DecodeErrorKind::UnexpectedByte { found: b'x', .. })));
}

#[test]
fn integers_out_of_range_are_rejected() {
    assert_eq!(read::<i8>("-128"), Ok(-128));
    assert_eq!(read::<i64>("-9223372036854775808"), Ok(i64::MIN));
    for (number, ttype) in [("128", TType::I8), ("-129", TType::I8)] {
        assert_eq!(read::<i8>(number), Err(DecodeErrorKind::NumberOutOfRange(ttype)));
    }
    assert_eq!(read::<i16>("32768"), Err(DecodeErrorKind::NumberOutOfRange(TType::I16)));
    assert_eq!(read::<i32>("2147483648"), Err(DecodeErrorKind::NumberOutOfRange(TType::I32)));
    assert_eq!(read::<i64>("9223372036854775808"), Err(DecodeErrorKind::NumberOutOfRange(TType::I64)));
    for text in ["1.0", "1e3", "-", "1-"] {
        assert_eq!(read::<i32>(text), Err(DecodeErrorKind::InvalidNumber), "{text}");
    }
    let id = read::<Vec<Anything>>(r#"["rec",1,{"32768":{"i8":1}}]"#);
    assert_eq!(id.map(drop), Err(DecodeErrorKind::FieldIdOutOfRange));
}

/// A struct that skips all fields.
#[derive(Debug)]
struct Anything;

impl Value for Anything {
    const TTYPE: TType = TType::Struct;

    fn write<O: OutputProtocol>(&self, output: &mut O) -> crate::protocol::EncodeResult {
        output.struct_begin()?;
        output.struct_end();
        Ok(())
    }

    fn read<I: InputProtocol>(input: &mut I) -> crate::protocol::DecodeResult<Self> {
        input.skip(TType::Struct).map(|()| Self)
    }
}

#[test]
fn integer_of_ten_thousand_digits_is_rejected_and_double_is_rounded() {
    let digits = "9".repeat(10_000);
    assert_eq!(read::<i64>(&digits), Err(DecodeErrorKind::NumberOutOfRange(TType::I64)));
    assert_eq!(read::<f64>(&digits), Ok(f64::INFINITY));
    assert_eq!(read::<f64>(format!("0.{digits}")), Ok(1.0));
    let zeros = "0".repeat(10_000);
    assert_eq!(read::<i64>(format!("{zeros}7")), Ok(7));
}

#[test]
fn white_space_is_allowed_between_all_tokens() {
    let text = r#" [ "i32" , "rec" , 1 , { "7" : { "1" : { "str" : "a b" } , "2" : { "tf" : 1 } } } ] "#;
    let spaced = tree(&text.replace(' ', " \t\r\n"), TType::Map);
    let value = Tree::Struct(vec![(1, Tree::Bool(true)), (2, Tree::Bool(true))]);
    let text = text.replace(r#""str" : "a b""#, r#""tf" : 1"#);
    assert_eq!(
        tree(&text.replace(' ', " \t\r\n"), TType::Map),
        Ok(Tree::Map(TType::I32, TType::Struct, vec![(Tree::I32(7), value)]))
    );
    assert_eq!(spaced, Err(DecodeErrorKind::InvalidBase64), "`Tree` reads strings as binary");
}

#[test]
fn syntax_error_names_the_expected_and_the_found_byte() {
    let unexpected = |expected, found| Some(DecodeErrorKind::UnexpectedByte { expected, found });
    assert_eq!(read::<Vec<i8>>(r#"["i8",2,1;2]"#).err(), unexpected("`,`", b';'));
    assert_eq!(read::<Vec<i8>>(r#"["i8",1,1,2]"#).err(), unexpected("`]`", b','));
    assert_eq!(read::<Vec<i8>>(r#"{"i8",1,1}"#).err(), unexpected("`[`", b'{'));
    assert_eq!(read::<Anything>(r#"{"1":{"i8":1,}"#).err(), unexpected("`}`", b','));
    assert_eq!(read::<Anything>(r#"{"1":["i8"]}"#).err(), unexpected("`{`", b'['));
    assert_eq!(read::<Anything>(r#"{"1":{"i8":1};"#).err(), unexpected("`,`", b';'));
    assert_eq!(tree(r#"["i8","i8",1,{"1";1}]"#, TType::Map).err(), unexpected("`:`", b';'));
    let error = from_bytes::<Vec<i8>>(Protocol::Json, "[\"i8\",1\u{7f}1]").unwrap_err();
    assert_eq!(error.to_string(), "[0]: expected `,`, found 0x7f");
}

#[test]
fn unknown_type_names_are_rejected_and_shown_cut() {
    let long = "x".repeat(10_000);
    assert_eq!(
        read::<Vec<i8>>(format!(r#"["{long}",1,1]"#)),
        Err(DecodeErrorKind::UnknownTypeName("x".repeat(16)))
    );
    assert_eq!(read::<Vec<i8>>(r#"["",0]"#), Ok(vec![]), "empty container");
}

#[test]
fn count_is_checked_against_the_length_of_the_input() {
    let len = 1_000_000;
    assert_eq!(
        read::<Vec<i8>>(r#"["i8",1000000,1,1]"#),
        Err(DecodeErrorKind::LengthBeyondEnd { what: "list", len })
    );
    assert_eq!(
        tree(r#"["i8","i8",1000000,{"1":1}]"#, TType::Map),
        Err(DecodeErrorKind::LengthBeyondEnd { what: "map", len })
    );
    assert_eq!(
        read::<Vec<i8>>(r#"["i8",-1]"#),
        Err(DecodeErrorKind::NegativeLength { what: "list", len: -1 })
    );
}

#[test]
fn message_has_known_text() {
    let header = MessageHeader { name: "add\"".into(), kind: MessageType::Call, seqid: -1 };
    let mut message = Vec::new();
    let mut writer = JsonWriter::new(&mut message, Limits::DEFAULT);
    writer.message_begin(&header).unwrap();
    writer.struct_begin().unwrap();
    7_i32.write_field(&mut writer, 1).unwrap();
    writer.struct_end();
    writer.message_end();
    assert_eq!(String::from_utf8(message).unwrap(), r#"[1,"add\"",1,-1,{"1":{"i32":7}}]"#);
}

#[test]
fn malformed_headers_are_rejected() {
    let header = |text: &str| {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let mut reader = JsonReader::new(&bytes, Limits::DEFAULT);
        reader.message_begin().map(drop).map_err(|error| error.kind().clone())
    };
    assert_eq!(header(r#" [ 1 , "f" , 1 , 7 ,"#), Ok(()));
    assert_eq!(header("{}"), Err(DecodeErrorKind::NotAMessage(b'{')));
    assert_eq!(header(r#"[2,"f",1,7,"#), Err(DecodeErrorKind::UnknownVersion(2)));
    assert_eq!(header(r#"[-1,"f",1,7,"#), Err(DecodeErrorKind::UnknownVersion(u16::MAX)));
    assert_eq!(header(r#"[1,"f",5,7,"#), Err(DecodeErrorKind::UnknownMessageType(5)));
    assert_eq!(header(r#"[1,"f",-1,7,"#), Err(DecodeErrorKind::UnknownMessageType(255)));
    assert_eq!(header(r#"[1,"f",1,2147483648,"#), Err(DecodeErrorKind::NumberOutOfRange(TType::I32)));
    assert_eq!(header(r#"[1,"f",1"#), Err(DecodeErrorKind::UnexpectedEnd));
}

#[test]
fn uuid_is_text() {
    let uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
    assert_eq!(written(&uuid), "\"00112233-4455-6677-8899-aabbccddeeff\"");
    assert_eq!(read::<Uuid>("\"00112233-4455-6677-8899-AABBCCDDEEFF\""), Ok(uuid));
    assert_eq!(read::<Uuid>("\"00112233\""), Err(DecodeErrorKind::InvalidUuid));
}

#[test]
fn long_string_without_escapes_is_a_slice_of_the_message() {
    let bytes = Bytes::from(format!("\"{}\"", "x".repeat(4097)));
    let mut reader = JsonReader::new(&bytes, Limits::DEFAULT);
    let SharedText::Unchecked(slice) = reader.shared_string().unwrap() else { panic!("it is not shared") };
    assert_eq!(slice.as_ptr(), bytes[1..].as_ptr());
}
