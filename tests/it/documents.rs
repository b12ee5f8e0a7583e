//! Citations, names of documents and links resolve; every fact about a vendor has a grade and a source.

mod checks;

use checks::{File, citations, facts, files, links, names, sections};

#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_citation_names_a_fact() {
    let files = files();
    let sections = sections(&files);
    assert!(sections.len() >= 2, "{sections:?}");
    let wrong: Vec<_> = files
        .iter()
        .flat_map(|file| citations(file, &sections))
        .collect();
    assert_none(&wrong);
}

#[test]
fn every_named_document_exists() {
    let wrong: Vec<_> = files().iter().flat_map(names).collect();
    assert_none(&wrong);
}

#[test]
fn every_link_of_a_document_resolves() {
    let files = files();
    let documents = files.iter().filter(|file| file.is_document());
    let wrong: Vec<_> = documents.flat_map(links).collect();
    assert_none(&wrong);
}

#[test]
fn every_fact_has_a_grade_and_a_source() {
    let files = files();
    let pages = files.iter().filter(|file| file.is_page());
    let wrong: Vec<_> = pages.flat_map(facts).collect();
    assert_none(&wrong);
}

#[test]
fn mistakes_are_found_with_their_line() {
    let file = |path: &str, text: &str| File {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let page = file(
        "docs/vendors/agora.md",
        "# A\n## 1. B\n### 1.1 C\nSee §1.1 and §7.\n- Grade: documented ([x][y]).\n### 1.3 D\n- Grade: documented.\n### 1.3 E\n- Grade: sure.\n### 1.4 F\n",
    );
    let sections = sections(std::slice::from_ref(&page));
    assert_eq!(
        citations(&page, &sections),
        ["docs/vendors/agora.md:4: agora.md has no §7"]
    );
    assert_eq!(
        facts(&page),
        [
            "docs/vendors/agora.md:6: §1.2 is expected",
            "docs/vendors/agora.md:7: a grade without a source",
            "docs/vendors/agora.md:9: no known grade",
            "docs/vendors/agora.md:10: §1.4 has no grade",
        ]
    );
    let source = file(
        "src/a.rs",
        "// (`agora.md §1, §1.1`), RFC 9110 §15.5\n// `agora.md §1.1, §2.5`\n// `agora.md` §1.1\n// (§1)\n// `wowza.md §1`, `docs/none.md`\n// `agora.md §1,\n// §1.1` https://example.com/x.md docs/metrics.md",
    );
    assert_eq!(
        citations(&source, &sections),
        [
            "src/a.rs:2: agora.md has no §2.5",
            "src/a.rs:3: §1.1 of which page?",
            "src/a.rs:4: §1 of which page?",
            "src/a.rs:5: there is no docs/vendors/wowza.md",
            "src/a.rs:7: §1.1 of which page?",
        ]
    );
    assert_eq!(
        names(&source),
        [
            "src/a.rs:5: there is no wowza.md",
            "src/a.rs:5: there is no docs/none.md",
        ]
    );
    let document = file(
        "docs/a.md",
        "[a](metrics.md) [b](../README.md#none) [c](none.txt) [d][e] `[f](g)`\n```\n[h](i)\n```\n[j](vendors/README.md#grades)\n[k]: ../none\n`src/none.rs` `lib.rs`\n",
    );
    assert_eq!(names(&document), ["docs/a.md:7: there is no src/none.rs"]);
    assert_eq!(
        links(&document),
        [
            "docs/a.md:1: [e] is not defined",
            "docs/a.md:1: ../README.md has no heading #none",
            "docs/a.md:1: there is no none.txt",
            "docs/a.md:6: there is no ../none",
        ]
    );
}
