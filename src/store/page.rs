//! Pagination by cursor. A cursor names a page's last row, so rows written meanwhile neither shift nor repeat others.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::StoreError;

/// Which page to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Most rows of the page, at least 1.
    pub limit: u32,
    /// The `next_cursor` of the previous page; `None` for the first.
    pub cursor: Option<String>,
}

/// A page of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// `None` on the last page.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of up to `limit + 1` rows: the extra row means that there is another page.
    pub(super) fn of(mut rows: Vec<T>, limit: u64, cursor: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        Self {
            next_cursor: rows.last().filter(|_| more).map(cursor),
            items: rows,
        }
    }
}

impl PageRequest {
    pub(super) fn limit(&self) -> u64 {
        self.limit.max(1).into()
    }

    pub(super) fn after_time(&self) -> Result<Option<TimeCursor>, StoreError> {
        self.cursor.as_deref().map(TimeCursor::read).transpose()
    }

    pub(super) fn after_channel(&self) -> Result<Option<ChannelCursor>, StoreError> {
        self.cursor.as_deref().map(ChannelCursor::read).transpose()
    }

    /// 0 for the first page.
    pub(super) fn after_number(&self) -> Result<i64, StoreError> {
        let Some(cursor) = &self.cursor else {
            return Ok(0);
        };
        bytes(cursor).map(i64::from_be_bytes)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeCursor {
    pub(super) time: DateTime<Utc>,
    pub(super) id: Uuid,
}

impl TimeCursor {
    pub(super) fn write(self) -> String {
        let mut bytes = [0; 24];
        let (time, id) = bytes.split_at_mut(8);
        time.copy_from_slice(&self.time.timestamp_micros().to_be_bytes());
        id.copy_from_slice(self.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read(cursor: &str) -> Result<Self, StoreError> {
        let bytes: [u8; 24] = bytes(cursor)?;
        let (first, rest) = bytes.split_at(8);
        let (mut micros, mut id) = ([0; 8], [0; 16]);
        micros.copy_from_slice(first);
        id.copy_from_slice(rest);
        let time = DateTime::from_timestamp_micros(i64::from_be_bytes(micros))
            .ok_or(StoreError::BadCursor)?;
        let id = Uuid::from_bytes(id);
        Ok(Self { time, id })
    }
}

/// A row of a channel that may have several, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChannelCursor {
    pub(super) channel_id: i64,
    pub(super) name: String,
}

impl ChannelCursor {
    pub(super) fn write(self) -> String {
        let mut bytes = self.channel_id.to_be_bytes().to_vec();
        bytes.extend(self.name.into_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read(cursor: &str) -> Result<Self, StoreError> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        let read = bytes.as_deref().and_then(|bytes| {
            let (channel, name) = bytes.split_first_chunk()?;
            Some(Self {
                channel_id: i64::from_be_bytes(*channel),
                name: String::from_utf8(name.to_vec()).ok()?,
            })
        });
        read.ok_or(StoreError::BadCursor)
    }
}

pub(super) fn number(number: i64) -> String {
    URL_SAFE_NO_PAD.encode(number.to_be_bytes())
}

fn bytes<const N: usize>(cursor: &str) -> Result<[u8; N], StoreError> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(StoreError::BadCursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let moment = TimeCursor {
            time: DateTime::from_timestamp_micros(1_763_800_000_123_456).unwrap(),
            id: Uuid::from_u128(7),
        };
        let request = PageRequest {
            limit: 10,
            cursor: Some(moment.write()),
        };
        assert_eq!(request.after_time(), Ok(Some(moment)));
        assert_eq!(request.after_number(), Err(StoreError::BadCursor));
    }

    #[test]
    fn an_invalid_cursor_is_an_error() {
        for cursor in ["", "abc", "not base64!", "AAAAAAAAAAA"] {
            let request = PageRequest {
                limit: 10,
                cursor: Some(cursor.into()),
            };
            assert_eq!(request.after_time(), Err(StoreError::BadCursor));
        }
    }
}
