//! Only what both daemons need.
