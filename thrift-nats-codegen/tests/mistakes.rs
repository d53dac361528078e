//! `docs/mistakes.md`: each mistake in it is made, and what is said of it is what stands there. `BLESS=1` writes it anew.

use std::fs;
use std::path::Path;

use thrift_nats_codegen::Options;

#[test]
fn the_documented_mistakes_are_shown_as_documented() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/mistakes.md");
    let present = fs::read_to_string(&page).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shared.thrift"), "struct Address { 1: string street }\n").unwrap();
    let file = folder.path().join("orders.thrift");
    let prefix = format!("{}{}", folder.path().display(), std::path::MAIN_SEPARATOR);

    let mut wanted = String::new();
    let mut rest = present.as_str();
    let mut mistakes = 0;
    while let Some((before, source)) = rest.split_once("```thrift\n") {
        let (source, behind) = source.split_once("```\n```text\n").unwrap();
        let (_, behind) = behind.split_once("```\n").unwrap();
        fs::write(&file, source).unwrap();
        let report = Options::new().check([&file]).unwrap();
        assert!(!report.is_empty(), "{source}");
        let said = report.render(false).replace(&prefix, "").replace(&*folder.path().to_string_lossy(), ".");
        wanted += &format!("{before}```thrift\n{source}```\n```text\n{said}\n```\n");
        rest = behind;
        mistakes += 1;
    }
    wanted += rest;
    assert_eq!(mistakes, 10);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&page, &wanted).unwrap();
    }
    assert!(
        present == wanted || std::env::var_os("BLESS").is_some(),
        "read the diff after a run with BLESS=1"
    );
}
