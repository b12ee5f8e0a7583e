//! The table of active relays: filtered, sorted and paged here, so that a browser never loads thousands of rows.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use serde_json::Value;
use strum::{EnumString, IntoStaticStr};
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use crate::actors::RelaySnapshot;
use crate::api::input::Query;
use crate::relay::Phase;
use crate::store::{Named, StoredRelay};

pub(super) const PAGE_SIZE: usize = 50;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct TableRow {
    pub(super) id: Uuid,
    pub(super) channel_id: i64,
    pub(super) channel_name: String,
    pub(super) phase: Named<Phase>,
    pub(super) since: DateTime<Utc>,
    pub(super) viewers: Option<u64>,
    pub(super) next_wake_at: Option<DateTime<Utc>>,
    pub(super) restarts: u32,
    pub(super) last_error: Option<String>,
}

impl TableRow {
    /// A relay that this process drives.
    pub(super) fn driven(snapshot: &RelaySnapshot, viewers: Option<u64>) -> Self {
        let durable = &snapshot.durable;
        Self {
            id: durable.spec.relay_id,
            channel_id: durable.spec.channel_id,
            channel_name: durable.spec.channel_name.clone(),
            phase: durable.phase.into(),
            since: durable.phase_since,
            viewers,
            next_wake_at: snapshot.next_wake_at,
            restarts: snapshot.restarts,
            last_error: snapshot.last_error.clone(),
        }
    }

    /// A relay that another process drives.
    pub(super) fn stored(stored: &StoredRelay) -> Self {
        let state: Value = stored.state.read().unwrap_or_default();
        let since = state.get("phase_since").and_then(Value::as_str);
        Self {
            id: *stored.id,
            channel_id: stored.channel_id,
            channel_name: stored.channel_name.clone(),
            phase: stored.phase.clone(),
            since: since
                .and_then(|since| since.parse().ok())
                .unwrap_or(stored.requested_at),
            viewers: None,
            next_wake_at: None,
            restarts: 0,
            last_error: None,
        }
    }

    fn matches(&self, search: &str) -> bool {
        let texts = [
            self.channel_id.to_string(),
            self.channel_name.to_lowercase(),
            self.id.to_string(),
            self.last_error.clone().unwrap_or_default().to_lowercase(),
        ];
        texts.iter().any(|text| text.contains(search))
    }

    fn phase_rank(&self) -> usize {
        use strum::IntoEnumIterator as _;
        Phase::iter()
            .position(|phase| self.phase == phase)
            .unwrap_or(usize::MAX)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum SortColumn {
    Channel,
    Phase,
    Since,
    Viewers,
    Wake,
    Restarts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableQuery {
    pub(super) search: String,
    pub(super) phase: Option<Phase>,
    pub(super) failing: bool,
    pub(super) sort: SortColumn,
    pub(super) descending: bool,
    pub(super) page: usize,
}

impl TableQuery {
    pub(super) const NAMES: [&'static str; 6] = ["q", "phase", "failing", "sort", "down", "page"];

    /// Ignores invalid values.
    pub(super) fn read(query: &Query) -> Self {
        let sort = query.get("sort").and_then(|sort| sort.parse().ok());
        Self {
            search: query.get("q").unwrap_or_default().trim().to_owned(),
            phase: query.get("phase").and_then(|phase| phase.parse().ok()),
            failing: query.get("failing").is_some(),
            sort: sort.unwrap_or(SortColumn::Since),
            descending: sort.is_none() || query.get("down").is_some(),
            page: query
                .get("page")
                .and_then(|page| page.parse().ok())
                .filter(|page| *page > 0)
                .unwrap_or(1),
        }
    }

    pub(super) fn on_page(&self, page: usize) -> String {
        self.query(self.sort, self.descending, page)
    }

    /// Reverses the order of the current column.
    pub(super) fn sorted_by(&self, sort: SortColumn) -> String {
        let descending = self.sort == sort && !self.descending;
        self.query(sort, descending, 1)
    }

    fn query(&self, sort: SortColumn, descending: bool, page: usize) -> String {
        let mut query = Serializer::new(String::new());
        if !self.search.is_empty() {
            query.append_pair("q", &self.search);
        }
        if let Some(phase) = self.phase {
            query.append_pair("phase", &phase.to_string());
        }
        if self.failing {
            query.append_pair("failing", "1");
        }
        query.append_pair("sort", sort.into());
        if descending {
            query.append_pair("down", "1");
        }
        if page > 1 {
            query.append_pair("page", &page.to_string());
        }
        format!("?{}", query.finish())
    }

    /// The rows of the page, the total number of rows, and the page number.
    pub(super) fn apply(&self, mut rows: Vec<TableRow>) -> (Vec<TableRow>, usize, usize) {
        let search = self.search.to_lowercase();
        rows.retain(|row| {
            self.phase.is_none_or(|phase| row.phase == phase)
                && (!self.failing || row.last_error.is_some() || row.restarts > 0)
                && (search.is_empty() || row.matches(&search))
        });
        rows.sort_by(|a, b| {
            let order = self.compare(a, b);
            let order = if self.descending {
                order.reverse()
            } else {
                order
            };
            order.then(a.id.cmp(&b.id))
        });
        let total = rows.len();
        let page = self.page.min(total.div_ceil(PAGE_SIZE)).max(1);
        let rows = rows
            .into_iter()
            .skip((page - 1) * PAGE_SIZE)
            .take(PAGE_SIZE);
        (rows.collect(), total, page)
    }

    fn compare(&self, a: &TableRow, b: &TableRow) -> Ordering {
        match self.sort {
            SortColumn::Channel => a.channel_id.cmp(&b.channel_id),
            SortColumn::Phase => a.phase_rank().cmp(&b.phase_rank()),
            SortColumn::Since => a.since.cmp(&b.since),
            SortColumn::Viewers => a.viewers.cmp(&b.viewers),
            SortColumn::Wake => a.next_wake_at.cmp(&b.next_wake_at),
            SortColumn::Restarts => a.restarts.cmp(&b.restarts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u32) -> TableRow {
        TableRow {
            id: Uuid::from_u128(u128::from(number)),
            channel_id: number.into(),
            channel_name: format!("Show{number}"),
            phase: if number.is_multiple_of(2) {
                "live"
            } else {
                "stopping"
            }
            .into(),
            since: DateTime::from_timestamp(number.into(), 0).unwrap(),
            viewers: None,
            next_wake_at: None,
            restarts: number % 3,
            last_error: (number == 7).then(|| "Timeout at Agora".into()),
        }
    }

    fn shown(query: &str) -> (Vec<i64>, usize, usize) {
        let query = Query::read(query, &TableQuery::NAMES).unwrap();
        let (rows, total, page) = TableQuery::read(&query).apply((1..=120).map(row).collect());
        (rows.iter().map(|row| row.channel_id).collect(), total, page)
    }

    #[test]
    fn a_page_holds_fifty_rows_and_the_last_one_the_rest() {
        let (rows, total, page) = shown("");
        assert_eq!((rows.len(), rows[0], total, page), (50, 120, 120, 1));
        assert_eq!(shown("page=3").0.len(), 20);
        assert_eq!(shown("page=99").2, 3);
    }

    #[test]
    fn rows_are_found_by_channel_name_and_error_in_any_case() {
        assert_eq!(shown("q=SHOW77").0, [77]);
        assert_eq!(shown("q=timeout").0, [7]);
        assert_eq!(shown("q=nothing").1, 0);
    }

    #[test]
    fn rows_are_filtered_by_phase_and_by_trouble() {
        assert_eq!(shown("phase=live").1, 60);
        assert!(shown("failing=1&phase=stopping").0.contains(&7));
        assert_eq!(shown("failing=1").1, 80);
    }

    #[test]
    fn a_column_sorts_up_first_and_down_the_second_time() {
        assert_eq!(shown("sort=channel").0[0], 1);
        assert_eq!(shown("sort=channel&down=1").0[0], 120);
        let query = Query::read("sort=channel&q=a%26b", &TableQuery::NAMES).unwrap();
        let table = TableQuery::read(&query);
        assert_eq!(
            table.sorted_by(SortColumn::Channel),
            "?q=a%26b&sort=channel&down=1"
        );
        assert_eq!(table.on_page(2), "?q=a%26b&sort=channel&page=2");
    }
}
