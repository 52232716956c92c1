//! One CGI program; the name it is called by says what it answers.
fn main() {}
