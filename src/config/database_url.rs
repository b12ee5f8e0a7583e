//! Parses `database.url` before a driver sees it: drivers log or ignore unknown parts, which may be part of a password.
//! Messages never repeat a value.

use std::net::IpAddr;

use secrecy::SecretString;
use url::Url;

use super::postgres_parameters::{TAKEN, ignored};

const ESCAPE: &str = "cannot be taken apart: in the user name and the password, percent-encode everything but letters, digits and \
                      -._~ (# is %23, ? is %3F, / is %2F, @ is %40, % is %25); it names one host, and the port is a number";
const NO_HOST: &str = "names no host: write postgres://user:password@host/database, or give the host as a parameter: \
                       postgres://user:password@/database?host=/run/postgresql";
const SSLMODES: [&str; 6] = [
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

pub(crate) struct DatabaseUrl {
    pub(crate) kind: DatabaseKind,
    /// The URL for the driver, with known parameters only.
    pub(crate) text: SecretString,
    /// Whether a missing SQLite file is created.
    pub(crate) may_be_made: bool,
    /// Warnings about ignored parameters.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatabaseKind {
    File,
    Memory,
    Postgres,
}

impl DatabaseUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix("sqlite:") {
            return sqlite(rest);
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return postgres(text);
        }
        let hint = match text.starts_with(['"', '\'']) {
            true => ", without quotation marks around it",
            false => "",
        };
        Err(format!(
            "must begin with sqlite:// or postgres://{hint}: sqlite://relaykeeper.db, or postgres://user:password@host/database"
        ))
    }
}

fn sqlite(rest: &str) -> Result<DatabaseUrl, String> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (file, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    // SQLite gets the decoded name.
    let decoded = percent_encoding::percent_decode_str(file)
        .decode_utf8()
        .map_err(|_| "names a file that is not UTF-8 when it is percent-decoded".to_owned())?;
    if decoded.is_empty() {
        return Err("names no file: write sqlite://relaykeeper.db".to_owned());
    }
    if decoded.starts_with("file:") || decoded.starts_with("sqlite:") {
        return Err(
            "names a URL where a path belongs: write sqlite://relaykeeper.db, without file:"
                .to_owned(),
        );
    }
    let mut kind = DatabaseKind::File;
    let mut file = file;
    if decoded == ":memory:" {
        kind = DatabaseKind::Memory;
        // The driver recognizes the name only without percent-encoding.
        file = ":memory:";
    }
    let (mut is_opened, mut is_made) = (false, false);
    for (key, value) in url::form_urlencoded::parse(parameters.as_bytes()) {
        let wrong = |key: &str, allowed: &str| Err(format!("{key} must be {allowed}"));
        match (&*key, &*value) {
            ("mode", "rw") => is_opened = true,
            ("mode", "rwc") => is_made = true,
            ("mode", "memory") => kind = DatabaseKind::Memory,
            ("mode", _) => {
                return wrong(
                    "mode",
                    "rwc (the file is made when it is missing) or rw: it is written to",
                );
            }
            ("cache", "private" | "shared") => {}
            ("cache", _) => return wrong("cache", "private or shared"),
            ("immutable", "false" | "0") => {}
            ("immutable", _) => return wrong("immutable", "left out: the file is written to"),
            (other, _) => {
                return Err(format!(
                    "{other} is not a parameter of an SQLite URL; there are mode, cache and immutable (a ? in the \
                     file's name is %3F)"
                ));
            }
        }
    }
    let mut text = format!("sqlite://{file}");
    let mut between = '?';
    if !parameters.is_empty() {
        text.push_str(&format!("?{parameters}"));
        between = '&';
    }
    if kind == DatabaseKind::File && !is_made && !is_opened {
        text.push(between);
        text.push_str("mode=rwc");
    }
    Ok(DatabaseUrl {
        kind,
        text: text.into(),
        may_be_made: is_made || !is_opened,
        warnings: Vec::new(),
    })
}

fn postgres(text: &str) -> Result<DatabaseUrl, String> {
    let (parsed, has_host) = match Url::parse(text) {
        // `user:password@/database?host=…`: the `host` parameter wins.
        Err(url::ParseError::EmptyHost) => {
            (Url::parse(&text.replacen("@/", "@localhost/", 1)), false)
        }
        parsed => (parsed, true),
    };
    let mut url = parsed.map_err(|error| {
        let has_no_host = error == url::ParseError::EmptyHost;
        if has_no_host { NO_HOST } else { ESCAPE }.to_owned()
    })?;
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let known = |key: &str| {
        let own = [
            "sslmode",
            "ssl-mode",
            "host",
            "hostaddr",
            "port",
            "statement-cache-capacity",
        ];
        TAKEN.contains(&key) || own.contains(&key) || key.starts_with("options[")
    };
    // A reserved character ended the password early: the `@` is in a later part.
    let is_stray =
        |(key, value): &(String, String)| !known(key) && (key.contains('@') || value.contains('@'));
    let parts = [
        url.username(),
        url.password().unwrap_or_default(),
        url.path(),
    ];
    if url.fragment().is_some()
        || url.path().contains('@')
        || url.host_str().is_some_and(|host| host.contains(','))
        || pairs.iter().any(is_stray)
        || parts.iter().any(|part| !is_utf8(part))
    {
        return Err(ESCAPE.to_owned());
    }
    let names_host = |(key, value): &(String, String)| {
        ["host", "hostaddr"].contains(&&**key) && !value.is_empty()
    };
    if !has_host && !pairs.iter().any(names_host) {
        return Err(NO_HOST.to_owned());
    }
    // A `&` in a `password` parameter starts another one, whose name is part of the password.
    let nameable = !pairs.iter().any(|(key, _)| key.contains("password"));
    let mut warnings = Vec::new();
    let mut kept = Vec::new();
    for (key, value) in pairs {
        match key.as_str() {
            "sslmode" | "ssl-mode" => {
                if !SSLMODES.contains(&value.to_ascii_lowercase().as_str()) {
                    return Err(format!(
                        "{key} must be one of {}; what other clients call no-verify is require here: it encrypts, and does not \
                         verify the certificate",
                        SSLMODES.join(", ")
                    ));
                }
                kept.push((key, value));
            }
            "host" => kept.push((key, without_brackets(&value).to_owned())),
            "hostaddr" => {
                let address: IpAddr = without_brackets(&value)
                    .parse()
                    .map_err(|_| "hostaddr must be an IP address; a name goes into host")?;
                kept.push((key, address.to_string()));
            }
            "port" if value.parse::<u16>().is_err() => {
                return Err("port must be a number up to 65535".to_owned());
            }
            "statement-cache-capacity" if value.parse::<usize>().is_err() => {
                return Err("statement-cache-capacity must be a number".to_owned());
            }
            "port" | "statement-cache-capacity" => kept.push((key, value)),
            taken if TAKEN.contains(&taken) || taken.starts_with("options[") => {
                kept.push((key, value));
            }
            "sslpassword" => warnings
                .push("sslpassword is ignored: name an sslkey that is not encrypted".to_owned()),
            "ssl" => {
                return Err("ssl is not a parameter here: write sslmode=require".to_owned());
            }
            other => match ignored(other) {
                Some(name) => warnings.push(format!(
                    "the parameter {name} is ignored; take it out of the URL"
                )),
                None => return Err(unknown(other, nameable)),
            },
        }
    }
    // The driver would resolve a bracketed address as a host name.
    if let Some(host) = url.host_str().filter(|host| host.starts_with('[')) {
        kept.insert(0, ("host".to_owned(), without_brackets(host).to_owned()));
    }
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
    Ok(DatabaseUrl {
        kind: DatabaseKind::Postgres,
        text: String::from(url).into(),
        may_be_made: false,
        warnings,
    })
}

fn unknown(key: &str, nameable: bool) -> String {
    let plain = |key: &str| {
        key.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    };
    let what = match nameable && plain(key) {
        true => format!("the parameter {key}"),
        false => "a parameter".to_owned(),
    };
    format!(
        "{what} is not known: take it out; a ? or & in a password is percent-encoded (%3F, %26)"
    )
}

fn without_brackets(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

fn is_utf8(part: &str) -> bool {
    percent_encoding::percent_decode_str(part)
        .decode_utf8()
        .is_ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn error(text: &str) -> String {
        match DatabaseUrl::parse(text) {
            Ok(url) => panic!("taken: {}", url.text.expose_secret()),
            Err(error) => error,
        }
    }

    #[rstest]
    #[case("sqlite://new.db", "sqlite://new.db?mode=rwc")]
    #[case("sqlite:new.db", "sqlite://new.db?mode=rwc")]
    #[case("sqlite://a.db?cache=private", "sqlite://a.db?cache=private&mode=rwc")]
    #[case("sqlite:///var/a.db?mode=rw", "sqlite:///var/a.db?mode=rw")]
    #[case("sqlite://a.db?mode=rwc", "sqlite://a.db?mode=rwc")]
    #[case("sqlite::memory:", "sqlite://:memory:")]
    #[case("sqlite://%3Amemory%3A?cache=shared", "sqlite://:memory:?cache=shared")]
    #[case(
        "postgres://u:p@[::1]:5433/d",
        "postgres://u:p@[::1]:5433/d?host=%3A%3A1"
    )]
    #[case(
        "postgresql://u:p%23%3F@h/d?sslmode=require",
        "postgresql://u:p%23%3F@h/d?sslmode=require"
    )]
    #[case(
        "postgres:///d?host=/run/pg&user=a@b",
        "postgres:///d?host=%2Frun%2Fpg&user=a%40b"
    )]
    #[case(
        "postgres://h/d?hostaddr=[::1]&connect_timeout=9",
        "postgres://h/d?hostaddr=%3A%3A1"
    )]
    #[case(
        "postgres://u:p@/d?host=/cloudsql/x",
        "postgres://u:p@localhost/d?host=%2Fcloudsql%2Fx"
    )]
    fn the_driver_gets_the_url_with_the_parameters_it_supports(
        #[case] text: &str,
        #[case] passed: &str,
    ) {
        let url = DatabaseUrl::parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(url.text.expose_secret(), passed);
    }

    #[rstest]
    #[case("postgres://u:canary#canary@h/d", "%23")]
    #[case("postgres://u:canary?canary@h/d", "%3F")]
    #[case("postgres://u:12?canary@h/d", "%3F")]
    #[case("postgres://u:12/canary@h/d", "%2F")]
    #[case("postgres://u:12#canary@h/d", "%23")]
    #[case("postgres://u:p@canary?x=canary&y@h/d", "%3F")]
    #[case("postgres://u:canary%ff@h/d", "percent-encode")]
    #[case("postgres://u:canary@h:canary/d", "port")]
    #[case("postgres://u:canary@a,b/d", "one host")]
    #[case("postgres://h/d?password=a&canary", "%26")]
    #[case(
        "postgres://u:canary@h/d?sslmode=no-verify",
        "sslmode must be one of disable"
    )]
    #[case("postgres://u:canary@h/d?sslmode=canary", "no-verify is require")]
    #[case("postgres://u:canary@h/d?ssl=true", "sslmode=require")]
    #[case(
        "postgres://u:canary@h/d?sslmod=require",
        "the parameter sslmod is not known"
    )]
    #[case("postgres://u:canary@h/d?port=canary", "port must be")]
    #[case("postgres://u:canary@h/d?hostaddr=canary", "hostaddr must be")]
    #[case("\"postgres://u:canary@h/d\"", "without quotation marks")]
    #[case("mysql://u:canary@h/d", "must begin with sqlite:// or postgres://")]
    #[case("sqlite://", "names no file")]
    #[case("sqlite://a.db?mode=ro", "mode must be rwc")]
    #[case("sqlite://a.db?immutable=1", "immutable must be left out")]
    #[case("sqlite://a.db?journal=wal", "journal is not a parameter")]
    #[case("sqlite:///x?vfs=memdb", "vfs is not a parameter")]
    #[case("sqlite:?mode=rwc", "names no file")]
    #[case("sqlite:file::memory:?cache=shared", "without file:")]
    #[case("sqlite:file:x%3Fmode=memory", "without file:")]
    #[case("sqlite://fil%65:x%3Fmode=memory", "without file:")]
    #[case("sqlite://sqlite::memory:", "where a path belongs")]
    #[case("postgres://u:canary@/d", "names no host")]
    #[case("postgres://u:canary@/d?host=&sslmode=require", "names no host")]
    #[case("postgres://u:canary@:5432/d", "names no host")]
    fn an_error_names_fault_and_remedy_and_repeats_no_value(
        #[case] text: &str,
        #[case] said: &str,
    ) {
        let error = error(text);
        assert!(error.contains(said) && !error.contains("canary"), "{error}");
    }

    #[rstest]
    #[case("sqlite::memory:")]
    #[case("sqlite://%3Amemory%3A")]
    #[case("sqlite://%3amemory:?mode=rwc")]
    #[case("sqlite://a.db?m%6fde=mem%6fry")]
    #[case("sqlite://a.db?mode=memory&mode=rwc")]
    fn a_database_in_memory_is_recognized_in_every_notation(#[case] text: &str) {
        let url = DatabaseUrl::parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(url.kind, DatabaseKind::Memory);
    }

    #[rstest]
    #[case("sqlite://a.db", true)]
    #[case("sqlite://a.db?mode=rwc", true)]
    #[case("sqlite://a.db?mode=%72w", false)]
    #[case("sqlite://a.db?m%6fde=rw", false)]
    #[case("sqlite://a.db?mode=rw%63", true)]
    fn a_missing_file_is_made_unless_the_decoded_mode_says_otherwise(
        #[case] text: &str,
        #[case] made: bool,
    ) {
        let url = DatabaseUrl::parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(url.may_be_made, made);
    }

    #[rstest]
    #[case("uselibpqcompat")]
    #[case("supa")]
    #[case("sslaccept")]
    #[case("socket_timeout")]
    #[case("statement_cache_size")]
    #[case("sslnegotiation")]
    #[case("passfile")]
    #[case("search_path")]
    #[case("TimeZone")]
    fn a_parameter_of_another_client_is_ignored_with_a_warning(#[case] name: &str) {
        let text = format!("postgres://u:p@h/d?{name}=canary");
        let url = DatabaseUrl::parse(&text).unwrap_or_else(|error| panic!("{error}"));
        let warnings = url.warnings.join("\n").to_lowercase();
        assert!(
            warnings.contains(&name.to_lowercase()) && !warnings.contains("canary"),
            "{warnings}"
        );
        let inside = format!("postgres://u:canary?{name}=canary@h/d");
        assert!(error(&inside).contains("%3F"));
    }

    #[test]
    fn a_warning_about_an_ignored_parameter_omits_its_value() {
        let text = "postgres://u:p@h/d?sslpassword=canary&channel_binding=require";
        let url = DatabaseUrl::parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(url.text.expose_secret(), "postgres://u:p@h/d");
        let warnings = url.warnings.join("\n");
        assert!(
            warnings.contains("sslpassword")
                && warnings.contains("channel_binding")
                && !warnings.contains("canary"),
            "{warnings}"
        );
    }
}
