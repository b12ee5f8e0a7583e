//! `DATABASE_URL` in the forms that people write.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use rstest::rstest;

use super::*;

/// Runs a command that opens the database, with all log levels.
fn opened(place: &Place, url: &str, more: &[(&str, &str)]) -> Told {
    let mut command = place.command(&["migrate", "status"]);
    command
        .env("DATABASE_URL", url)
        .env("RUST_LOG", "trace")
        .envs(more.iter().copied());
    Told::of(&command.output().unwrap())
}

fn is_silent(told: &Told) {
    let all = format!("{}{}", told.out, told.err);
    assert!(!all.contains("canary"), "{all}");
}

#[rstest]
#[case("sqlite://new.db")]
#[case("sqlite:new.db")]
#[case("sqlite://new.db?cache=private")]
fn an_sqlite_file_that_is_missing_is_made(#[case] url: &str) {
    let place = Place::new();
    let told = opened(&place, url, &[]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(place.0.path().join("new.db").exists());
}

#[rstest]
#[case("postgres://u:canary#canary@127.0.0.1:9/d", "%23")]
#[case("postgres://u:canary?canary@127.0.0.1:9/d", "%3F")]
#[case("postgres://u:12?canary@127.0.0.1:9/d", "%3F")]
#[case("postgres://u:canary@127.0.0.1:9/d?sslmode=no-verify", "sslmode")]
#[case("postgres://u:canary@127.0.0.1:9/d?sslrootcrt=canary", "sslrootcrt")]
#[case("'postgres://u:canary@127.0.0.1:9/d'", "quotation marks")]
#[case("sqlite://a.db?mode=ro", "mode")]
#[case("sqlite://nowhere/a.db", "not a folder")]
fn a_database_url_that_cannot_be_used_is_refused_with_the_remedy_and_not_repeated(
    #[case] url: &str,
    #[case] said: &str,
) {
    let told = opened(&Place::new(), url, &[]);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(
        told.err.contains(said) && told.err.contains("DATABASE_URL"),
        "{}",
        told.err
    );
    is_silent(&told);
}

#[rstest]
#[case("[::1]", "@HOST:PORT/d?sslmode=disable")]
#[case("[::1]", "@HOST:PORT/d?sslmode=disable&sslpassword=canary")]
#[case(
    "127.0.0.1",
    "@/d?host=HOST&port=PORT&sslmode=disable&keepalives=canary"
)]
#[case(
    "[::1]",
    "@elsewhere.invalid/d?hostaddr=HOST&port=PORT&sslmode=disable"
)]
fn the_server_a_database_url_names_is_connected_to_and_no_part_of_a_secret_is_logged(
    #[case] host: &str,
    #[case] rest: &str,
) {
    let Ok(listener) = TcpListener::bind(format!("{host}:0")) else {
        eprintln!("this machine has no {host}");
        return;
    };
    let port = listener.local_addr().unwrap().port().to_string();
    let rest = rest.replace("HOST", host).replace("PORT", &port);
    listener.set_nonblocking(true).unwrap();
    // Hangs up on the first caller within ten seconds.
    let called = std::thread::spawn(move || {
        (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            listener.accept().is_ok()
        })
    });
    let told = opened(&Place::new(), &format!("postgres://u:canary{rest}"), &[]);
    assert_eq!(told.code, 1, "it hung up: {told:?}");
    is_silent(&told);
    assert!(called.join().unwrap(), "nothing connected: {told:?}");
}

#[test]
fn a_password_file_that_cannot_be_read_is_not_logged() {
    let place = Place::new();
    // The driver quotes lines that end too early.
    place.write("pgpass", "canary\n*:*:canary\n");
    let file = place.0.path().join("pgpass");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let more = [("PGPASSFILE", file.to_str().unwrap())];
    let told = opened(&place, "postgres://u@127.0.0.1:9/d", &more);
    assert_eq!(told.code, 1, "{told:?}");
    is_silent(&told);
}

#[test]
fn a_database_of_an_earlier_version_that_others_can_read_becomes_private() {
    let place = Place::new();
    let told = opened(&place, "sqlite://old.db", &[]);
    assert_eq!(told.code, 0, "{told:?}");
    let files = ["old.db", "old.db.lock"].map(|name| place.0.path().join(name));
    std::fs::write(&files[1], "").unwrap();
    for file in &files {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let mut command = place.command(&["migrate", "up"]);
    command.env("DATABASE_URL", "sqlite://old.db");
    let told = Told::of(&command.output().unwrap());
    assert_eq!(told.code, 0, "{told:?}");
    for file in &files {
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

#[rstest]
#[case("sqlite://%3Amemory%3A")]
#[case("sqlite:file::memory:?cache=shared")]
#[case("sqlite:file:x%3Fmode=memory")]
#[case("sqlite:///x?vfs=memdb")]
#[case("sqlite:")]
fn a_database_in_memory_is_refused_however_its_url_is_written(#[case] url: &str) {
    let place = Place::new();
    let mut command = place.command(&["check"]);
    command.env("DATABASE_URL", url);
    let told = Told::of(&command.output().unwrap());
    assert_eq!(told.code, 1, "{told:?}");
    let said = format!("{}{}", told.out, told.err);
    assert!(
        said.contains("a database in memory") || said.contains("DATABASE_URL"),
        "{said}"
    );
}
