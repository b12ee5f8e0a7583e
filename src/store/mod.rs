//! Where state is kept: the only room that knows SQL.
