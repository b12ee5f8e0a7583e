//! One process at a time holds a SQLite file.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::*;

const CHILD: &str = "RELAYKEEPER_TEST_LOCK";

fn take(database: &TestDatabase) -> Result<DatabaseLock, HeldBy> {
    DatabaseLock::try_acquire(&database.settings()).unwrap()
}

#[tokio::test]
async fn a_lock_has_one_holder_and_is_free_when_dropped() {
    let database = TestDatabase::sqlite();
    let held = take(&database).unwrap();
    let me = Some(std::process::id());
    assert_eq!(take(&database).unwrap_err(), HeldBy { pid: me });
    // Reading needs no lock.
    database.store().await.unfinished().await.unwrap();
    drop(held);
    take(&database).unwrap();
}

#[tokio::test]
async fn a_lock_held_by_another_process_names_it_and_ends_with_it() {
    let database = TestDatabase::sqlite();
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "store::lock::the_other_process",
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
    assert_eq!(take(&database).unwrap_err(), HeldBy { pid });
    other.kill().unwrap();
    other.wait().unwrap();
    take(&database).unwrap();
}

#[tokio::test]
#[ignore = "the second process of another test, which starts it"]
async fn the_other_process() {
    let Ok(url) = std::env::var(CHILD) else {
        return;
    };
    let settings = relaykeeper::config::DatabaseSettings {
        url: url.into(),
        ..Default::default()
    };
    let _held = DatabaseLock::try_acquire(&settings).unwrap().unwrap();
    println!("the lock is held");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_file_is_locked_under_all_its_names_and_memory_not_at_all() {
    let database = TestDatabase::sqlite();
    database.store().await;
    let path = database.url.trim_start_matches("sqlite://");
    let path = std::path::Path::new(path.trim_end_matches("?mode=rwc"));
    let alias = path.with_file_name("alias.db");
    std::os::unix::fs::symlink(path, &alias).unwrap();
    let named = |url: String| relaykeeper::config::DatabaseSettings {
        url: url.into(),
        ..Default::default()
    };
    let _held = take(&database).unwrap();
    let alias = named(format!("sqlite://{}", alias.display()));
    assert!(DatabaseLock::try_acquire(&alias).unwrap().is_err());
    for _ in 0..2 {
        let memory = named("sqlite::memory:".into());
        let held = DatabaseLock::try_acquire(&memory).unwrap();
        std::mem::forget(held.unwrap());
    }
}
