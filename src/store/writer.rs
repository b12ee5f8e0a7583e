//! The writer: one task, one connection, one commit for all that wait.
//!
//! While a batch is being committed the next one gathers; so the more is written, the more shares one fsync, and a write
//! that comes alone waits for nobody. Within a batch every request fails alone (see [`batch`]). An
//! answer is given after the commit and never before. When the commit fails or the connection breaks, everyone in the
//! batch hears [`StoreError::Unavailable`]: the outcome is unknown, and a repeat of the same request finds out
//! (see [`Save`](super::Save)).

mod batch;
mod pending;
mod tx;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::{FutureExt, future::BoxFuture};
use sea_orm::DatabaseConnection;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::last_recordings::LastRecordings;
use super::{RecordingRow, StoreError, connect::Target};
use crate::telemetry::metrics;

use batch::transact;
pub(super) use pending::{Change, Message, Shown};
pub(super) use tx::Tx;

/// The most requests that share a commit.
const BATCH: usize = 256;
/// The most that do while commits are cheap and few wait: the first need not wait for the hundredth.
const FEW: usize = 16;
/// So many who wait are not few.
const MANY: usize = 128;
/// A commit that takes longer is dear.
const DEAR: Duration = Duration::from_millis(4);
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
    fn recordings(&self) -> &[RecordingRow] {
        &[]
    }

    /// Whether it leaves rows to be written with those of its batch, and reads nothing of what others leave so: relays and
    /// their keys, journals, the outbox, `channels`. Before any other operation they are written.
    fn leaves_rows(&self) -> bool {
        false
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
            commits_are_dear: false,
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
    fn recordings(&self) -> &[RecordingRow];
    /// See [`Operation::leaves_rows`].
    fn leaves_rows(&self) -> bool;
    /// Runs it; whether it succeeded.
    fn run<'a>(&'a mut self, tx: &'a Tx<'a>) -> BoxFuture<'a, Ran>;
    /// It ran well, but what it left to be written was refused.
    fn fail(&mut self, failure: Failure) -> Ran;
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

    fn recordings(&self) -> &[RecordingRow] {
        self.operation.recordings()
    }

    fn leaves_rows(&self) -> bool {
        self.operation.leaves_rows()
    }

    fn run<'a>(&'a mut self, tx: &'a Tx<'a>) -> BoxFuture<'a, Ran> {
        Box::pin(async move {
            match self.operation.run(tx).await {
                Ok(answer) => {
                    self.result = Some(Ok(answer));
                    Ran::Well
                }
                Err(failure) => self.fail(failure),
            }
        })
    }

    fn fail(&mut self, failure: Failure) -> Ran {
        match failure {
            Failure::Whole(error) => {
                self.result = Some(Err(error));
                Ran::Badly
            }
            Failure::Projection(error) => Ran::Projection(error),
        }
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
    commits_are_dear: bool,
    told: watch::Sender<()>,
    closing: CancellationToken,
}

impl Task {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let most = self.most();
            tokio::select! {
                biased;
                () = self.closing.cancelled(), if !self.requests.is_closed() => self.requests.close(),
                count = self.requests.recv_many(&mut batch, most) => {
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

    /// How many may share the next commit.
    fn most(&self) -> usize {
        if self.commits_are_dear || self.requests.len() > MANY {
            BATCH
        } else {
            FEW
        }
    }

    async fn commit(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        let begun = Instant::now();
        let told = AtomicBool::new(false);
        let attempt = AssertUnwindSafe(transact(&self.connection, batch, &told)).catch_unwind();
        let committed = match tokio::time::timeout(PATIENCE, attempt).await {
            Ok(Ok(committed)) => committed.map(|took| self.commits_are_dear = took > DEAR),
            Ok(Err(_)) => Err(StoreError::Unavailable("a write panicked".to_owned())),
            Err(_) => Err(StoreError::Unavailable("it took too long".to_owned())),
        };
        if let Err(error) = &committed {
            tracing::warn!(%error, requests = batch.len(), "a batch was not committed");
            metrics::COMMITS_FAILED.add(1, []);
            self.commits_are_dear = true;
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
