//! The PostgreSQL statements of the fleet that SeaORM cannot express. All nodes share one clock, `clock_timestamp()`.

/// `SKIP LOCKED`: a locked row is being renewed.
pub(super) const DELETE_EXPIRED_NODES: &str = "DELETE FROM nodes WHERE epoch IN \
    (SELECT epoch FROM nodes WHERE lease_until < clock_timestamp() FOR UPDATE SKIP LOCKED) RETURNING epoch, name";
pub(super) const DELETE_UNDELIVERABLE_MESSAGES: &str =
    "DELETE FROM peer_messages WHERE NOT EXISTS (SELECT FROM nodes WHERE epoch = recipient)";
pub(super) const NODES: &str = "SELECT epoch, name, joined_at, leaving, \
    (SELECT count(*) FROM relays WHERE relays.epoch = nodes.epoch AND ended_at IS NULL) AS relays \
    FROM nodes WHERE lease_until >= clock_timestamp() ORDER BY epoch";
pub(super) const COUNT_UNOWNED: &str = "SELECT leader, (SELECT count(*) FROM relays WHERE ended_at IS NULL \
    AND NOT EXISTS (SELECT FROM nodes WHERE nodes.epoch = relays.epoch)) AS free FROM instance WHERE id = 1";
/// If another node claimed a row meanwhile, PostgreSQL rechecks the conditions on its own columns only: hence the
/// comparison of epochs. `+ 0` keeps the planner off the index by epoch, where a gone node has thousands of rows.
pub(super) const CLAIM: &str = "WITH free AS MATERIALIZED (SELECT id, epoch FROM relays WHERE ended_at IS NULL \
    AND NOT EXISTS (SELECT FROM nodes WHERE nodes.epoch = relays.epoch)), \
    taken AS (SELECT relays.id FROM relays JOIN free ON relays.id = free.id AND relays.epoch + 0 = free.epoch \
    WHERE relays.ended_at IS NULL ORDER BY relays.id LIMIT $2 FOR UPDATE OF relays SKIP LOCKED) \
    UPDATE relays SET epoch = $1 WHERE id IN (SELECT id FROM taken) \
    AND EXISTS (SELECT FROM nodes WHERE epoch = $1) RETURNING *";
/// Of two nodes that try at once, the second finds another leader than `$2`.
pub(super) const REPLACE_LEADER: &str = "UPDATE instance SET leader = $1 WHERE id = 1 AND leader = $2 \
    AND NOT EXISTS (SELECT FROM nodes WHERE nodes.epoch = $2)";
/// `$3`: relays that no longer hold their slots, with commas between them.
pub(super) const NOTIFY_OUTBOX: &str = "SELECT pg_notify($1, $2) UNION ALL SELECT pg_notify($1, 'stopped ' || id) FROM relays \
    WHERE id = ANY (string_to_array($3, ',')::uuid[]) AND stop_requested_at IS NOT NULL";
pub(super) const SEND_MESSAGE: &str = "WITH sent AS (INSERT INTO peer_messages (recipient, body) VALUES ($1, $2) RETURNING id) \
    SELECT pg_notify($3, $4) FROM sent";
pub(super) const TAKE_MESSAGES: &str = "WITH taken AS (DELETE FROM peer_messages WHERE recipient = $1 RETURNING id, body) \
    SELECT body FROM taken ORDER BY id";
pub(super) const CREATE_POLL: &str = "INSERT INTO shared_polls (name, taken_by, taken_at, found) \
    VALUES ($1, 0, 'epoch', '') ON CONFLICT (name) DO NOTHING";
pub(super) const LAST_POLL: &str = "SELECT found FROM shared_polls WHERE name = $1 AND since <= $2 \
    AND polled_at >= clock_timestamp() - $3 * interval '1 second'";
/// Of several nodes that ask at once, the first to lock the row gets the poll.
pub(super) const TAKE_POLL: &str = "UPDATE shared_polls SET taken_by = $2, taken_at = clock_timestamp() WHERE name = $1 \
    AND taken_at < clock_timestamp() - $3 * interval '1 second' \
    AND (polled_at >= taken_at OR taken_at < clock_timestamp() - $4 * interval '1 second')";
pub(super) const FINISH_POLL: &str = "UPDATE shared_polls SET polled_at = clock_timestamp(), since = $3, found = $4 \
    WHERE name = $1 AND taken_by = $2";
pub(super) const ABANDON_POLL: &str = "UPDATE shared_polls SET polled_at = taken_at, since = NULL, found = '' WHERE name = $1 AND taken_by = $2";
pub(super) const SHARES: &str = "SELECT s.name, s.epoch, s.permits, n.epoch IS NULL AS orphaned, \
    extract(epoch FROM s.expires_at - clock_timestamp())::float8 AS expires_in \
    FROM quota_shares s LEFT JOIN nodes n ON n.epoch = s.epoch ORDER BY s.name, s.epoch";
pub(super) const PAUSES: &str = "SELECT name, extract(epoch FROM paused_until - clock_timestamp())::float8 AS left \
    FROM quotas WHERE paused_until > clock_timestamp()";
pub(super) const CREATE_SHARES_LOCK: &str =
    "INSERT INTO quotas (name) VALUES ('') ON CONFLICT (name) DO NOTHING";
/// The row with the empty name is the lock for changes to any share.
pub(super) const LOCK_SHARES: &str = "SELECT name FROM quotas WHERE name = '' FOR UPDATE";
/// `FOR SHARE` keeps the node from being removed until the commit.
pub(super) const HOLD_SHARE: &str = "INSERT INTO quota_shares (name, epoch, permits) \
    SELECT $1, epoch, $3 FROM nodes WHERE epoch = $2 FOR SHARE \
    ON CONFLICT (name, epoch) DO UPDATE SET permits = excluded.permits";
pub(super) const EXPIRE_SHARE: &str = "UPDATE quota_shares SET expires_at = clock_timestamp() + $3 * interval '1 second' \
    WHERE name = $1 AND epoch = $2 AND expires_at IS NULL";
pub(super) const DELETE_SHARE: &str =
    "DELETE FROM quota_shares WHERE name = $1 AND epoch = $2 AND expires_at < clock_timestamp()";
pub(super) const PAUSE_QUOTA: &str = "INSERT INTO quotas (name, paused_until) VALUES ($1, clock_timestamp() + $2 * interval '1 second') \
    ON CONFLICT (name) DO UPDATE SET paused_until = greatest(quotas.paused_until, excluded.paused_until)";
