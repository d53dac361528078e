//! `thrift-nats-gen docs`: every definition has a place, every link has a target, and text of the IDL is escaped.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use thrift_nats_codegen::Options;

type Pages = BTreeMap<String, String>;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// The pages of the first file and of the files it includes.
fn pages(files: &[(&str, &str)]) -> Pages {
    let folder = folder(files);
    Options::new().document([folder.path().join(files[0].0)]).unwrap().pages.into_iter().collect()
}

fn page(text: &str) -> String {
    pages(&[("a.thrift", text)]).remove("a.html").unwrap()
}

const MAIN: &str = r#"/** What this file is for. */
include "shared/base.thrift"
namespace rs shop.orders
namespace java com.shop

/** Money, in cents. */
typedef i64 Cents
const Cents LIMIT = 0x10
const list<Cents> STEPS = [1, LIMIT, 20]
const base.Color DEFAULT = base.Color.RED
const Item FIRST = {"name": "it's <b>", "price": LIMIT}
const map<string, list<string>> LONG = {"a rather long key of the map": ["one", "two"], "another long key of this map": []}

/** What is sold. */
struct Item {
  /** As customers see it. */
  1: required string name
  2: optional Cents price = LIMIT
  3: list<map<base.Color, Item>> parts (deprecated = "use `Box`", max = "3")
  4: Item & twin
}
union Payment { 1: Cents cash, 2: base.Card card }
exception SoldOut { 1: string message }

/** Sells. */
service Shop extends base.Health {
  /**
   * Buys an item.
   * @param item what to buy
   */
  Payment buy(1: Item item /* ! */, 2: i32 count = 1) throws (1: SoldOut out, 2: base.Broken broken),
  oneway void log(1: string line) (deprecated)
}
"#;

const BASE: &str = r#"enum Color { RED = 1, /** Like grass. */ GREEN = 2 }
struct Card { 1: uuid number, 2: binary raw }
exception Broken {}
service Health { bool ping(), map<string, set<double>> stats() }
"#;

const SHOP: &[(&str, &str)] = &[("shop.thrift", MAIN), ("shared/base.thrift", BASE)];

/// The value of each attribute `name` of a tag.
fn attributes(html: &str, name: &str) -> Vec<String> {
    let mark = format!(" {name}=\"");
    let tags = html.split('<').skip(1).map(|part| part.split('>').next().unwrap());
    tags.filter_map(|tag| tag.split_once(&mark))
        .map(|(_, rest)| rest.split('"').next().unwrap().to_owned())
        .collect()
}

/// The page without its script.
fn markup(html: &str) -> String {
    let (before, rest) = html.split_once("<script>").unwrap();
    let (_, after) = rest.split_once("</script>").unwrap();
    format!("{before}{after}")
}

/// Checks that every link has a target, that ids are unique on their page, and that elements are closed.
fn assert_well_formed(pages: &Pages) {
    let ids: BTreeMap<&str, BTreeSet<String>> = pages
        .iter()
        .map(|(name, html)| {
            let all = attributes(&markup(html), "id");
            let unique: BTreeSet<String> = all.iter().cloned().collect();
            assert_eq!(all.len(), unique.len(), "{name}: duplicate id in {all:?}");
            (name.as_str(), unique)
        })
        .collect();
    for (name, html) in pages {
        for href in attributes(&markup(html), "href") {
            let (page, id) = href.split_once('#').unwrap_or((&href, ""));
            let page = if page.is_empty() { name } else { page };
            let targets = ids.get(page).unwrap_or_else(|| panic!("{name}: no page for {href}"));
            assert!(id.is_empty() || targets.contains(id), "{name}: no target for {href}");
        }
        assert_balanced(name, &markup(html));
    }
}

/// Checks that elements are closed in the opposite order of their start tags.
fn assert_balanced(name: &str, html: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in html.split('<').skip(1) {
        let tag = part.split('>').next().unwrap();
        let word = tag.split_whitespace().next().unwrap();
        match word.strip_prefix('/') {
            Some(word) => assert_eq!(open.pop(), Some(word), "{name}: {part}"),
            None if matches!(word, "!DOCTYPE" | "meta" | "input" | "br" | "hr") => {}
            None => {
                assert!(word.chars().all(|c| c.is_ascii_alphanumeric()), "{name}: <{part}");
                // A block within a paragraph would end the paragraph.
                assert!(
                    open.last() != Some(&"p")
                        || !matches!(word, "p" | "pre" | "div" | "table" | "ul" | "ol" | "h4" | "blockquote"),
                    "{name}: {part}"
                );
                open.push(word);
            }
        }
    }
    assert!(open.is_empty(), "{name}: {open:?}");
}

#[test]
fn every_link_has_a_target() {
    let pages = pages(SHOP);
    assert_eq!(pages.keys().collect::<Vec<_>>(), ["base.html", "index.html", "shop.html"]);
    assert_well_formed(&pages);
    let shop = &pages["shop.html"];
    for href in [
        // Types of this file and of an included file, the parent of a service, and inherited functions.
        "#struct.Item",
        "#typedef.Cents",
        "base.html#enum.Color",
        "base.html#exception.Broken",
        "base.html#service.Health",
        "base.html#service.Health.ping",
        // Constants, enum values and fields that are named in values.
        "#const.LIMIT",
        "base.html#enum.Color.RED",
        "#struct.Item.price",
        "base.html",
        "index.html",
    ] {
        assert!(attributes(shop, "href").iter().any(|found| found == href), "{href}");
    }
}

#[test]
fn every_definition_is_on_its_page_in_the_index_and_in_the_search() {
    let pages = pages(SHOP);
    let of_shop = [
        "typedef.Cents",
        "const.LIMIT",
        "const.STEPS",
        "const.DEFAULT",
        "const.FIRST",
        "const.LONG",
        "struct.Item",
        "union.Payment",
        "exception.SoldOut",
        "service.Shop",
    ];
    let of_base = ["enum.Color", "struct.Card", "exception.Broken", "service.Health"];
    for (page, wanted) in [("shop.html", &of_shop[..]), ("base.html", &of_base[..])] {
        // In source order.
        let sections: Vec<String> = pages[page]
            .match_indices("<section id=\"")
            .map(|(at, mark)| pages[page][at + mark.len()..].split('"').next().unwrap().to_owned())
            .collect();
        assert_eq!(sections, wanted);
        for id in wanted {
            let href = format!("{page}#{id}");
            assert!(attributes(&pages["index.html"], "href").contains(&href), "{href}");
        }
    }
    for (name, html) in &pages {
        let index = html.split_once("var INDEX = ").unwrap().1.split_once(";\n").unwrap().0;
        let index: serde_json::Value = serde_json::from_str(index).unwrap();
        let mut found = BTreeSet::new();
        for file in index.as_array().unwrap() {
            for entry in file[2].as_array().unwrap() {
                let kind = match entry[0].as_str().unwrap() {
                    "function" => "service",
                    "value" => "enum",
                    kind => kind,
                };
                found.insert(format!("{}#{kind}.{}", file[0].as_str().unwrap(), entry[1].as_str().unwrap()));
            }
        }
        let mut wanted: BTreeSet<String> = of_shop.iter().map(|id| format!("shop.html#{id}")).collect();
        wanted.extend(of_base.iter().map(|id| format!("base.html#{id}")));
        wanted.extend(
            ["enum.Color.RED", "enum.Color.GREEN", "service.Health.ping", "service.Health.stats"]
                .map(|id| format!("base.html#{id}")),
        );
        wanted.extend(["service.Shop.buy", "service.Shop.log"].map(|id| format!("shop.html#{id}")));
        assert_eq!(found, wanted, "{name}");
        // Each search result has a target.
        for href in found {
            let (page, id) = href.split_once('#').unwrap();
            assert!(attributes(&markup(&pages[page]), "id").iter().any(|found| found == id), "{href}");
        }
    }
}

#[test]
fn a_page_shows_everything_in_the_idl() {
    let pages = pages(SHOP);
    let shop = &pages["shop.html"];
    for wanted in [
        "<p>What this file is for.</p>",
        "<code>rs shop.orders</code>",
        "<p>Money, in cents.</p>",
        "typedef i64 Cents",
        // The number as written.
        "LIMIT = 0x10",
        "[1, <a href=\"#const.LIMIT\">LIMIT</a>, 20]",
        "<a href=\"base.html#enum.Color.RED\">base.Color.RED</a>",
        // A long value has one line for each entry.
        "{\n  &#34;a rather long key of the map&#34;: [&#34;one&#34;, &#34;two&#34;],\n  &#34;another long key of this map&#34;: []\n}",
        "<tr id=\"struct.Item.name\"><td>1</td><td>required</td><td><code>string</code></td><td><code>name</code></td>",
        "<p>As customers see it.</p>",
        "<td>optional</td>",
        "<p class=\"deprecated\">Deprecated: use `Box`</p>",
        "(max = &#34;3&#34;)",
        " &#38;</code></td><td><code>twin</code>",
        "<p><strong>@param</strong> item what to buy</p>",
        "oneway void log(1: string line)",
        "<p class=\"deprecated\">Deprecated</p>",
    ] {
        assert!(shop.contains(wanted), "{wanted} in\n{shop}");
    }
    let base = &pages["base.html"];
    assert!(
        base.contains(
            "<tr id=\"enum.Color.GREEN\"><td>2</td><td><code>GREEN</code></td><td><p>Like grass.</p>"
        )
    );
    assert!(base.contains("map&#60;string, set&#60;double&#62;&#62; stats()"));
}

#[test]
fn text_of_the_idl_is_escaped() {
    let evil = "</code><script>alert(1)</script><img src=x onerror=\\\"x\\\">";
    let text = format!(
        "/** </style></script><script>alert(1)</script> `<b>` */\n\
         const string A = \"{evil}\"\n\
         struct S {{ 1: string a = '<i>' (k = \"{evil}\", deprecated = \"<u>\") }} (x.y = '\"><script>')\n"
    );
    let html = page(&text);
    let markup = markup(&html);
    for never in ["<script", "<img", "<b>`", "<i>", "<u>", "onerror=\"", "</style></"] {
        assert!(!markup.contains(never), "{never} in\n{markup}");
    }
    // In the comment, and in the other texts.
    assert!(markup.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(markup.contains("&#60;script&#62;alert(1)&#60;/script&#62;"));
    assert_eq!(html.matches("<script>").count(), 1);
    assert_eq!(html.matches("</script>").count(), 1);
    assert_well_formed(&pages(&[("a.thrift", text.as_str())]));
}

#[test]
fn markdown_in_comments_cannot_run_scripts_or_break_the_page() {
    let mut pages = pages(&[(
        "a.thrift",
        r#"/**
 * # Heading
 * [link](javascript:alert(1)) [web](https://example.org/) ![image](https://example.org/i.png)
 *
 * > quote
 * ***
 * 1. one<br>
 *    <div onclick="alert(1)">
 * | a | b |
 * |---|---|
 * | 1 | `<u>` |
 *
 * @see other
 * - a
 * @return nothing
 */
struct S { /** # Heading */ 1: string a }
/** <div id="struct.S"> */
service T { /** ## Heading */ void f() }
"#,
    )]);
    let markup = markup(&pages["a.html"]);
    for never in
        ["javascript:", "<img", "<h1>Heading", "<h2>Heading", "<h3>Heading", "<br>", "<div onclick", "<u>"]
    {
        assert!(!markup.contains(never), "{never} in\n{markup}");
    }
    let web = "<a href=\"https://example.org/\">";
    for wanted in ["<h4>Heading</h4>", web, "&lt;div onclick=", "<p><strong>@return</strong> nothing</p>"] {
        assert!(markup.contains(wanted), "{wanted} in\n{markup}");
    }
    // Only links within the pages have targets to check.
    let without_web = pages["a.html"].replace(web, "<a href=\"#\">");
    pages.insert("a.html".to_owned(), without_web);
    assert_well_formed(&pages);
}

#[test]
fn control_characters_are_replaced() {
    let html = page("/** a\u{1}b */\nstruct S { 1: string c = 'd\u{8}\te' }");
    assert!(html.contains("<p>a\u{fffd}b</p>"));
    assert!(html.contains("&#39;d\u{fffd}\te&#39;"));
}

#[test]
fn no_template_turns_escaping_off() {
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "html") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("safe") && !text.contains("escape"), "{}", path.display());
        }
    }
}

#[test]
fn file_names_are_escaped() {
    let pages = pages(&[("a&b<c>'d\"#%.thrift", "struct S {}")]);
    assert_eq!(pages.keys().collect::<Vec<_>>(), ["a_b_c__d___.html", "index.html"]);
    assert!(pages["index.html"].contains(">a&#38;b&#60;c&#62;&#39;d&#34;#%.thrift</a>"));
    assert!(pages["index.html"].contains(r"a\u0026b\u003cc\u003e\u0027d\"));
    assert_well_formed(&pages);
}

#[test]
fn files_and_definitions_of_one_name_have_separate_pages_and_ids() {
    let pages = pages(&[
        (
            "main.thrift",
            "include \"x/t.thrift\"\ninclude \"index.thrift\"\nstruct S {}\nconst i32 S = 1\nservice S {}\n",
        ),
        ("x/t.thrift", "include \"../y/t.thrift\"\nstruct T {}"),
        ("y/t.thrift", "struct T {}"),
        ("index.thrift", "struct T {}"),
    ]);
    assert_eq!(
        pages.keys().collect::<Vec<_>>(),
        ["index-2.html", "index.html", "main.html", "t-2.html", "t.html"]
    );
    assert_well_formed(&pages);
    for id in ["struct.S", "const.S", "service.S"] {
        assert!(attributes(&pages["main.html"], "id").iter().any(|found| found == id), "{id}");
    }
}

#[test]
fn pages_load_no_file_and_need_no_script() {
    for (name, html) in pages(SHOP) {
        for never in [" src=", "url(", "@import", "http:", "https:", "<link", "fetch(", "innerHTML"] {
            assert!(!html.contains(never), "{never} in {name}");
        }
        assert!(html.contains("prefers-color-scheme: dark"));
        // The search needs a script and is hidden until the script runs.
        assert!(html.contains("aria-label=\"Search all definitions\" hidden>"));
    }
}

#[test]
fn pages_do_not_depend_on_the_folder_of_the_idl() {
    assert_eq!(pages(SHOP), pages(SHOP));
}

#[test]
fn comments_can_be_left_out() {
    let folder = folder(&[("a.thrift", "/** Secret. */\nstruct S {}")]);
    let documentation = Options::new().comments(false).document([folder.path().join("a.thrift")]).unwrap();
    assert!(documentation.pages.iter().all(|(_, html)| !html.contains("Secret.")));
}

#[test]
fn warnings_are_reported_and_can_be_denied() {
    let folder = folder(&[("a.thrift", "struct S { i32 without_id }")]);
    let file = [folder.path().join("a.thrift")];
    assert_eq!(Options::new().document(&file).unwrap().warnings.len(), 1);
    let error = Options::new().deny_warnings(true).document(&file).unwrap_err();
    assert!(error.to_string().contains("field `without_id` has no id"), "{error}");
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_thrift-nats-gen"))
        .arg("docs")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_command_writes_the_pages_to_the_folder() {
    let folder = folder(&[("idl/shop.thrift", MAIN), ("inc/shared/base.thrift", BASE)]);
    let (code, said) = run(folder.path(), &["idl/shop.thrift", "--out", "html"]);
    assert_eq!(code, 1);
    assert!(said.contains("cannot find `shared/base.thrift`"), "{said}");
    assert!(!folder.path().join("html").exists());
    let (code, said) = run(folder.path(), &["idl/shop.thrift", "--out", "html/of/it", "-I", "inc"]);
    assert_eq!((code, said.as_str()), (0, ""));
    let mut names: Vec<_> = fs::read_dir(folder.path().join("html/of/it"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["base.html", "index.html", "shop.html"]);
    assert_eq!(run(folder.path(), &["idl/shop.thrift"]).0, 2, "--out is needed");
}
