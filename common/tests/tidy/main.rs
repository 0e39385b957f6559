//! Keeps the house as it was drawn: what may import what, how large things may
//! grow, which files exist, and that every configuration key is documented.
//!
//! Each test prints every violation, not only the first. The rules are tables at
//! the top of the rooms that check them: `imports`, `sizes`, `contents` and `keys`,
//! which read the tree through `repository` and Rust through `source`.

mod contents;
mod imports;
mod keys;
mod repository;
mod sizes;
mod source;
