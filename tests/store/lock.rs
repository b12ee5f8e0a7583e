//! One process acts on a database at a time.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::*;

on_both_databases!(
    a_lock_has_one_holder_and_is_free_when_it_is_given_back,
    a_lock_held_by_another_process_names_it_and_ends_with_it,
);

const CHILD: &str = "RELAYKEEPER_TEST_LOCK";

async fn take(database: &TestDatabase) -> Result<DatabaseLock, HeldBy> {
    DatabaseLock::try_acquire(&database.settings())
        .await
        .unwrap()
}

/// A holder's end is noticed by the server in its own time.
async fn take_soon(database: &TestDatabase) -> DatabaseLock {
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        match take(database).await {
            Ok(lock) => return lock,
            Err(held) => assert!(Instant::now() < patience, "{held:?}"),
        }
        tokio::task::yield_now().await;
    }
}

async fn a_lock_has_one_holder_and_is_free_when_it_is_given_back(database: TestDatabase) {
    let held = take(&database).await.unwrap();
    let me = Some(std::process::id());
    assert_eq!(take(&database).await.unwrap_err(), HeldBy { pid: me });
    // Who only wants to read may.
    database.store().await.unfinished().await.unwrap();
    drop(held);
    take_soon(&database).await;
}

async fn a_lock_held_by_another_process_names_it_and_ends_with_it(database: TestDatabase) {
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "lock::the_other_process",
            "--nocapture",
            "--include-ignored",
        ])
        .env(CHILD, &database.url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(other.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("the lock is held")));
    let pid = Some(other.id());
    assert_eq!(take(&database).await.unwrap_err(), HeldBy { pid });
    other.kill().unwrap();
    other.wait().unwrap();
    take_soon(&database).await;
}

/// Not a test of its own: what another process does in the one above.
#[tokio::test]
#[ignore = "the second process of another test, which starts it"]
async fn the_other_process() {
    let Ok(url) = std::env::var(CHILD) else {
        return;
    };
    let settings = relaykeeper::config::Database {
        url: url.into(),
        ..Default::default()
    };
    let _held = DatabaseLock::try_acquire(&settings).await.unwrap().unwrap();
    println!("the lock is held");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn who_loses_the_lock_on_postgresql_hears_of_it() {
    let database = TestDatabase::postgres().await;
    support::database::on(database, async |database: TestDatabase| {
        let held = take(&database).await.unwrap();
        let raw = database.raw().await;
        raw.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name LIKE 'relaykeeper lock %'",
        )
        .await;
        tokio::time::timeout(Duration::from_secs(10), held.lost())
            .await
            .expect("it is heard of");
        take(&database).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_file_is_locked_under_all_its_names_and_memory_not_at_all() {
    let database = TestDatabase::sqlite();
    database.store().await;
    let path = database.url.trim_start_matches("sqlite://");
    let path = std::path::Path::new(path.trim_end_matches("?mode=rwc"));
    let alias = path.with_file_name("alias.db");
    std::os::unix::fs::symlink(path, &alias).unwrap();
    let named = |url: String| relaykeeper::config::Database {
        url: url.into(),
        ..Default::default()
    };
    let _held = take(&database).await.unwrap();
    let alias = named(format!("sqlite://{}", alias.display()));
    assert!(DatabaseLock::try_acquire(&alias).await.unwrap().is_err());
    for _ in 0..2 {
        let memory = named("sqlite::memory:".into());
        let held = DatabaseLock::try_acquire(&memory).await.unwrap();
        std::mem::forget(held.unwrap());
    }
}
