//! Scans a source file's tokens for paths and names. Skips comments, literals and tests.

use std::iter::Peekable;
use std::path::Path;
use std::str::Chars;

#[derive(Debug, Default)]
pub(super) struct Source {
    /// The path below `src`.
    pub(super) name: String,
    /// The module path; empty for the library's root.
    pub(super) module: Vec<String>,
    /// Paths in a `use`, and others that begin with `crate`, `super`, `self` or `relaykeeper`.
    pub(super) paths: Vec<Vec<String>>,
    /// The paths of `pub use`.
    pub(super) exports: Vec<Vec<String>>,
    pub(super) names: Vec<String>,
    /// Types that are not private.
    pub(super) types: Vec<String>,
    /// Modules under `cfg(test)` that are files.
    test_modules: Vec<String>,
}

impl Source {
    /// The files of `src`, except tests.
    pub(super) fn of_crate() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "rs") {
                    let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                    files.push(Self::new(name, &std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
        let tests: Vec<Vec<String>> = files
            .iter()
            .flat_map(|file| {
                let child =
                    |name: &String| [file.module.as_slice(), std::slice::from_ref(name)].concat();
                file.test_modules.iter().map(child)
            })
            .collect();
        files.retain(|file| !tests.iter().any(|test| file.module.starts_with(test)));
        assert!(files.len() > 200, "{} files", files.len());
        files
    }

    pub(super) fn new(name: &str, text: &str) -> Self {
        let module = name.trim_end_matches(".rs");
        let module = module.strip_suffix("/mod").unwrap_or(module);
        let module: Vec<String> = match module {
            "lib" => Vec::new(),
            _ => module.split('/').map(str::to_owned).collect(),
        };
        let mut source = Self {
            name: name.to_owned(),
            module,
            ..Self::default()
        };
        source.read(&tokens(text));
        source
    }

    fn read(&mut self, tokens: &[String]) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let rest = &tokens[at..];
            if is(rest, &["#", "[", "cfg", "(", "test", ")", "]"]) {
                at += 7 + self.skip_item(&rest[7..]);
                continue;
            }
            if is_name(token) {
                self.names.push(token.clone());
            }
            match token.as_str() {
                "struct" | "enum" | "trait" | "type" => {
                    let before = tokens[..at].last().map(String::as_str);
                    if matches!(before, Some("pub" | ")")) {
                        self.types.extend(rest.get(1).cloned());
                    }
                    at += 1;
                }
                "use" => {
                    let end = rest.iter().position(|token| token == ";").unwrap();
                    let mut paths = Vec::new();
                    tree(&rest[1..end], &[], &mut paths);
                    // `pub use`, or `pub(…) use`.
                    let before = tokens[..at].last().map(String::as_str);
                    if matches!(before, Some("pub" | ")")) {
                        self.exports.extend(paths.iter().cloned());
                    }
                    self.paths.extend(paths);
                    at += end;
                }
                "crate" | "super" | "self" | "relaykeeper" if is(&rest[1..], &["::"]) => {
                    let segments = rest.chunks(2);
                    let names = segments.take_while(|pair| is_name(&pair[0]));
                    let mut path = Vec::new();
                    for pair in names {
                        path.push(pair[0].clone());
                        if !is(&pair[1..], &["::"]) {
                            break;
                        }
                    }
                    at += 2 * path.len() - 1;
                    self.paths.push(path);
                }
                _ => at += 1,
            }
        }
    }

    /// The number of tokens of an item under `cfg(test)`.
    fn skip_item(&mut self, tokens: &[String]) -> usize {
        if let Some(module) = tokens.iter().position(|token| token == "mod")
            && tokens.get(module + 2).is_some_and(|end| end == ";")
            && tokens[..module]
                .iter()
                .all(|token| token != "{" && token != ";")
        {
            self.test_modules.push(tokens[module + 1].clone());
        }
        let mut depth = 0_usize;
        for (place, token) in tokens.iter().enumerate() {
            match token.as_str() {
                "{" => depth += 1,
                "}" if depth == 1 => return place + 1,
                "}" => depth = depth.saturating_sub(1),
                ";" if depth == 0 => return place + 1,
                _ => {}
            }
        }
        tokens.len()
    }
}

fn is(tokens: &[String], wanted: &[&str]) -> bool {
    tokens.len() >= wanted.len()
        && tokens
            .iter()
            .zip(wanted)
            .all(|(token, wanted)| token == wanted)
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn tree(tokens: &[String], prefix: &[String], paths: &mut Vec<Vec<String>>) {
    let mut path = prefix.to_vec();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "{" => {
                let mut depth = 0;
                let mut begin = at + 1;
                for (place, token) in tokens.iter().enumerate().skip(at) {
                    match token.as_str() {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        _ => {}
                    }
                    if (depth == 1 && token == ",") || depth == 0 {
                        if begin < place {
                            tree(&tokens[begin..place], &path, paths);
                        }
                        begin = place + 1;
                    }
                }
                return;
            }
            "as" => break,
            "self" if !path.is_empty() => {}
            "::" => {}
            name => path.push(name.to_owned()),
        }
        at += 1;
    }
    paths.push(path);
}

/// Names and punctuation; `::` is one token.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '/' if rest.peek() == Some(&'/') => {
                while rest.next().is_some_and(|next| next != '\n') {}
            }
            '/' if rest.peek() == Some(&'*') => {
                let mut last = ' ';
                for next in rest.by_ref() {
                    if last == '*' && next == '/' {
                        break;
                    }
                    last = next;
                }
            }
            '"' => skip_string(&mut rest),
            'r' if matches!(rest.peek(), Some('"' | '#')) => skip_raw_string(&mut rest),
            '\'' => skip_character(&mut rest),
            ':' if rest.peek() == Some(&':') => {
                rest.next();
                tokens.push("::".to_owned());
            }
            _ if next.is_alphanumeric() || next == '_' => {
                let mut name = next.to_string();
                while let Some(next) = rest.next_if(|next| next.is_alphanumeric() || *next == '_') {
                    name.push(next);
                }
                tokens.push(name);
            }
            _ if next.is_whitespace() => {}
            _ => tokens.push(next.to_string()),
        }
    }
    tokens
}

fn skip_string(rest: &mut Peekable<Chars<'_>>) {
    while let Some(next) = rest.next() {
        match next {
            '\\' => drop(rest.next()),
            '"' => return,
            _ => {}
        }
    }
}

fn skip_raw_string(rest: &mut Peekable<Chars<'_>>) {
    let mut hashes = 0;
    while rest.next_if_eq(&'#').is_some() {
        hashes += 1;
    }
    // `r#name` is a name.
    if rest.next_if_eq(&'"').is_none() {
        return;
    }
    while let Some(next) = rest.next() {
        let mut seen = 0;
        while next == '"' && seen < hashes && rest.next_if_eq(&'#').is_some() {
            seen += 1;
        }
        if next == '"' && seen == hashes {
            return;
        }
    }
}

/// Skips a character literal; of a lifetime only the quote.
fn skip_character(rest: &mut Peekable<Chars<'_>>) {
    let mut ahead = rest.clone();
    let first = ahead.next();
    if first == Some('\\') {
        rest.next();
        rest.next();
        while rest.next().is_some_and(|next| next != '\'') {}
    } else if ahead.next() == Some('\'') {
        rest.next();
        rest.next();
    }
}
