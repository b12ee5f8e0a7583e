//! Calls to the store that are repeated until the database answers.

use std::time::Duration;

use super::StoreError;

const PAUSE: Duration = Duration::from_millis(500);

/// Repeats a call until it succeeds. `what` names it in the log.
pub async fn until_done<T, F>(what: &str, mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    loop {
        match call().await {
            Ok(done) => return done,
            Err(error) => {
                tracing::warn!(what, %error, "a database call failed; it is tried again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Repeats a call while the database is unavailable.
///
/// # Errors
/// The first error that is not [`StoreError::Unavailable`].
pub async fn until_answered<T, F>(what: &str, mut call: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let call = || {
        let answer = call();
        async {
            match answer.await {
                Err(error @ StoreError::Unavailable(_)) => Err(error),
                answer => Ok(answer),
            }
        }
    };
    until_done(what, call).await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_is_repeated_while_the_database_is_unavailable_and_a_refusal_is_returned() {
        let tries = Cell::new(0);
        let call = || async {
            tries.set(tries.get() + 1);
            match tries.get() {
                1 | 2 => Err(StoreError::Unavailable("away".into())),
                3 => Err::<(), _>(StoreError::Refused("no".into())),
                _ => Ok(()),
            }
        };
        let refused = until_answered("test", call).await;
        assert_eq!(
            (refused, tries.get()),
            (Err(StoreError::Refused("no".into())), 3)
        );
        tries.set(0);
        until_done("test", call).await;
        assert_eq!(tries.get(), 4);
    }
}
