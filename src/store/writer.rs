//! The writer: one task, one connection, one commit for all that wait.
//!
//! While a batch is being committed the next one gathers; so the more is written, the more shares one fsync, and a write
//! that comes alone waits for nobody. Within a batch every request stands in a savepoint of its own and fails alone. An
//! answer is given after the commit and never before. When the commit fails or the connection breaks, everyone in the
//! batch hears [`StoreError::Unavailable`]: the outcome is unknown, and a repeat of the same request finds out
//! (see [`Save`](super::Save)).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::{FutureExt, future::BoxFuture};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::last_recordings::LastRecordings;
use super::{Recording, StoreError, connect::Target, operations::outbox::hold_head, sql::Sql};
use crate::telemetry::metrics;

/// The most requests that share a commit.
const BATCH: usize = 256;
/// The most requests that wait; who comes then waits for room.
const WAITING: usize = 1024;
/// How long a batch may take: longer than any limit the database has itself.
const PATIENCE: Duration = Duration::from_secs(20);
/// A batch that takes longer is told of in the log.
const SLOW: Duration = Duration::from_secs(1);

/// Something the writer can do, all or nothing.
pub(super) trait Operation: Send + Sync + 'static {
    /// What it answers.
    type Answer: Send + 'static;

    /// Whether it may write to the outbox, whose head is then held from the batch's beginning: two processes' batches that
    /// came to it with rows in hand could each wait for the other's.
    fn writes_outbox(&self) -> bool {
        false
    }

    /// The recordings it may write: see [`put_recordings`](super::operations::parts::put_recordings).
    fn recordings(&self) -> &[Recording] {
        &[]
    }

    /// Does it. Whatever it wrote is taken back when it fails.
    fn run(&self, tx: &Tx<'_>) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

/// Why an operation failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It cannot be done.
    Whole(StoreError),
    /// Only `channels` would not take the projection.
    Projection(StoreError),
}

impl<E: Into<StoreError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Whole(error.into())
    }
}

/// The transaction an operation works in.
pub(super) struct Tx<'a> {
    /// Where its statements go.
    pub(super) sql: Sql<'a, DatabaseTransaction>,
    /// Whether `channels` is written as well.
    pub(super) project: bool,
    /// Set when the outbox, or what is to be delivered of it, was written: whoever waits for that is told after the commit.
    pub(super) told: &'a AtomicBool,
}

/// Hands requests to the writer's task.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
    told: watch::Sender<()>,
    closing: CancellationToken,
    closed: CancellationToken,
}

impl Writer {
    /// Starts the task, on the runtime this is called on.
    pub(super) fn start(
        target: Target,
        connection: DatabaseConnection,
        last_recordings: Arc<LastRecordings>,
    ) -> Self {
        let (queue, requests) = mpsc::channel(WAITING);
        let told = watch::Sender::new(());
        let closing = CancellationToken::new();
        let closed = CancellationToken::new();
        let task = Task {
            requests,
            target,
            connection,
            last_recordings,
            told: told.clone(),
            closing: closing.clone(),
        };
        let done = closed.clone().drop_guard();
        tokio::spawn(async move {
            task.run().await;
            drop(done);
        });
        Self {
            queue,
            told,
            closing,
            closed,
        }
    }

    /// Changes when the outbox was written by this process: after the commit.
    pub(super) fn told(&self) -> watch::Receiver<()> {
        self.told.subscribe()
    }

    /// Another process has written to the outbox.
    pub(super) fn outbox_was_written(&self) {
        self.told.send_replace(());
    }

    /// Has the operation done; answers after its commit.
    pub(super) async fn run<O: Operation>(&self, operation: O) -> Result<O::Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Waiting {
            operation,
            result: None,
            reply,
        });
        let gone = || StoreError::Unavailable("the store is closed".to_owned());
        self.queue.send(job).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Finishes what was asked for and closes the connection.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.closed.cancelled().await;
    }
}

/// A request whose type is its own business.
trait Job: Send {
    /// See [`Operation::writes_outbox`].
    fn writes_outbox(&self) -> bool;
    /// See [`Operation::recordings`].
    fn recordings(&self) -> &[Recording];
    /// Runs it; whether it succeeded.
    fn run<'a>(&'a mut self, tx: &'a Tx<'a>) -> BoxFuture<'a, Ran>;
    /// Answers it, now that its batch was committed or not.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// How a job ran.
enum Ran {
    Well,
    Badly,
    /// It may go well without its projection.
    Projection(StoreError),
}

struct Waiting<O: Operation> {
    operation: O,
    result: Option<Result<O::Answer, StoreError>>,
    reply: oneshot::Sender<Result<O::Answer, StoreError>>,
}

impl<O: Operation> Job for Waiting<O> {
    fn writes_outbox(&self) -> bool {
        self.operation.writes_outbox()
    }

    fn recordings(&self) -> &[Recording] {
        self.operation.recordings()
    }

    fn run<'a>(&'a mut self, tx: &'a Tx<'a>) -> BoxFuture<'a, Ran> {
        Box::pin(async move {
            match self.operation.run(tx).await {
                Ok(answer) => {
                    self.result = Some(Ok(answer));
                    Ran::Well
                }
                Err(Failure::Whole(error)) => {
                    self.result = Some(Err(error));
                    Ran::Badly
                }
                Err(Failure::Projection(error)) => Ran::Projection(error),
            }
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let unfinished = || Err(StoreError::Unavailable("it was not run".to_owned()));
        let answer = match committed {
            Ok(()) => self.result.unwrap_or_else(unfinished),
            Err(error) => Err(error),
        };
        // Who asked may have gone.
        let _ = self.reply.send(answer);
    }
}

struct Task {
    requests: mpsc::Receiver<Box<dyn Job>>,
    target: Target,
    connection: DatabaseConnection,
    last_recordings: Arc<LastRecordings>,
    told: watch::Sender<()>,
    closing: CancellationToken,
}

impl Task {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                () = self.closing.cancelled(), if !self.requests.is_closed() => self.requests.close(),
                count = self.requests.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    self.commit(&mut batch).await;
                }
            }
        }
        // Whether the last connection says good-bye changes nothing.
        let _ = self.connection.close().await;
    }

    async fn commit(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        let begun = Instant::now();
        let told = AtomicBool::new(false);
        let attempt = AssertUnwindSafe(transact(&self.connection, batch, &told)).catch_unwind();
        let committed = match tokio::time::timeout(PATIENCE, attempt).await {
            Ok(Ok(committed)) => committed,
            Ok(Err(_)) => Err(StoreError::Unavailable("a write panicked".to_owned())),
            Err(_) => Err(StoreError::Unavailable("it took too long".to_owned())),
        };
        if let Err(error) = &committed {
            tracing::warn!(%error, requests = batch.len(), "a batch was not committed");
            metrics::COMMITS_FAILED.add(1, []);
            self.renew();
        }
        if told.load(Ordering::Relaxed) {
            self.told.send_replace(());
        }
        let seconds = begun.elapsed().as_secs_f64();
        metrics::COMMIT_DURATION.observe(seconds, []);
        let size = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        metrics::COMMIT_BATCH.observe(f64::from(size), []);
        if begun.elapsed() > SLOW {
            tracing::warn!(seconds, requests = batch.len(), "the database is slow");
        }
        // Before anybody is answered, and also when nobody knows whether it was committed.
        for recording in batch.iter().flat_map(|job| job.recordings()) {
            self.last_recordings.forget(recording.channel_id);
        }
        for job in batch.drain(..) {
            let outcome = committed
                .clone()
                .map_err(|error| StoreError::Unavailable(error.to_string()));
            job.answer(outcome);
        }
    }

    /// A connection on which a commit failed is not used again; but one in memory *is* the database.
    fn renew(&mut self) {
        if !matches!(self.target, Target::Memory(_)) {
            self.connection = self.target.writer();
        }
    }
}

/// One transaction for the whole batch.
async fn transact(
    connection: &DatabaseConnection,
    batch: &mut [Box<dyn Job>],
    told: &AtomicBool,
) -> Result<(), StoreError> {
    let transaction = connection
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        })
        .await?;
    if batch.iter().any(|job| job.writes_outbox()) {
        hold_head(&transaction).await?;
    }
    for job in batch {
        attempt(&transaction, job.as_mut(), told).await?;
    }
    Ok(transaction.commit().await?)
}

/// Runs one job in its savepoint. An error here is the whole batch's: the transaction is gone.
async fn attempt(
    transaction: &DatabaseTransaction,
    job: &mut dyn Job,
    told: &AtomicBool,
) -> Result<(), StoreError> {
    let mut project = true;
    loop {
        let tx = Tx {
            sql: Sql(transaction),
            project,
            told,
        };
        transaction.execute_unprepared("SAVEPOINT request").await?;
        let ran = job.run(&tx).await;
        if !matches!(ran, Ran::Well) {
            transaction
                .execute_unprepared("ROLLBACK TO SAVEPOINT request")
                .await?;
        }
        transaction
            .execute_unprepared("RELEASE SAVEPOINT request")
            .await?;
        if let Ran::Projection(error) = ran {
            // The relay's life does not hang on what someone else's table takes.
            tracing::error!(%error, "the channels table refuses what relaykeeper writes; the relay goes on without");
            project = false;
        } else {
            return Ok(());
        }
    }
}
