//! Any bytes as what babeld tells, in pieces of any size.

use switchboard::mesh::babel::Babel;
use switchboard::time::Instant;

pub fn check(data: &[u8]) {
    let Some((size, data)) = data.split_first() else { return };
    let read = |size: usize| {
        let mut babel = Babel::default();
        babel.begin(Instant::default());
        assert!(babel.connected());
        let whole = data.chunks(size).all(|piece| babel.received(piece));
        (whole, babel.end())
    };
    assert_eq!(read(usize::from(*size) + 1), read(usize::MAX), "pieces make no difference");
}
