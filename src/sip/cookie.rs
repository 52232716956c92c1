//! Everything that others must not be able to guess or forge: the branch of our Via, our To tags, and the keys under
//! which transactions are found. All are SipHash under a key that is new at every start.
//!
//! The branch says which branch of which context it belongs to, so that a response finds its way without a search, and
//! proves that we made it for this very request, so that a response that nobody asked for is recognised and dropped
//! (RFC 3261 §18.1.2, RFC 6026 §7.3). It also carries the loop mark of RFC 5393 §4.2.
//!
//! Not a defence against somebody who sees the packets: on the mesh's own wires everything is readable.

use std::fmt::Write as _;
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use crate::rng::Seed;

/// RFC 3261 §8.1.1.7: what every branch of this version of the protocol begins with.
pub const MAGIC: &[u8] = b"z9hG4bK";

/// Longest branch that [`Cookies::branch`] makes.
pub const BRANCH: usize = 64;

/// Which branch of which context a Via of ours names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchId {
    /// Place of the context.
    pub slot: u32,
    /// How often that place was used before.
    pub generation: u32,
    /// Which of the context's branches.
    pub branch: u8,
    /// The loop mark: a digest of what decides the route of the request as it was received.
    pub lap: u32,
}

/// The key.
#[derive(Clone, Debug)]
pub struct Cookies {
    key: [u8; 16],
}

/// A keyed digest in the making. Fields are separated by their lengths, so that no two lists of fields look alike.
#[derive(Clone, Debug)]
pub struct Digest(SipHasher13);

impl Digest {
    /// One more field.
    pub fn field(mut self, bytes: &[u8]) -> Self {
        self.0.write(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.write(bytes);
        self
    }

    /// One more field, whose letters may be of either case.
    pub fn folded(mut self, bytes: &[u8]) -> Self {
        self.0.write(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        for byte in bytes {
            self.0.write(&[byte.to_ascii_lowercase()]);
        }
        self
    }

    /// One more number.
    pub fn number(mut self, number: u32) -> Self {
        self.0.write(&number.to_be_bytes());
        self
    }

    /// The digest.
    pub fn finish(self) -> u64 {
        self.0.finish()
    }
}

impl Cookies {
    /// The key is the half of the seed that nothing else uses as it is.
    pub fn new(seed: &Seed) -> Self {
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(seed.iter().skip(16)) {
            *to = *from;
        }
        Self { key }
    }

    /// A digest for one `purpose`; those of two purposes have nothing to do with each other.
    pub fn digest(&self, purpose: &str) -> Digest {
        Digest(SipHasher13::new_with_key(&self.key)).field(purpose.as_bytes())
    }

    /// The branch parameter for a request of this Call-ID and CSeq number.
    pub fn branch(&self, id: BranchId, call_id: &[u8], cseq: u32) -> heapless::String<BRANCH> {
        let mut text = heapless::String::new();
        let BranchId { slot, generation, branch, lap } = id;
        let seal = self.seal(id, call_id, cseq);
        // 7 + 8 + 8 + 2 + 8 + 16 = 49 characters always fit.
        let _ = write!(text, "z9hG4bK{slot:08x}{generation:08x}{branch:02x}{lap:08x}{seal:016x}");
        text
    }

    /// What a branch parameter names, if we made it for a request of this Call-ID and CSeq number since the start.
    pub fn open(&self, branch: &[u8], call_id: &[u8], cseq: u32) -> Option<BranchId> {
        let digits = branch.strip_prefix(MAGIC)?;
        let (slot, digits) = hex(digits, 8)?;
        let (generation, digits) = hex(digits, 8)?;
        let (index, digits) = hex(digits, 2)?;
        let (lap, digits) = hex(digits, 8)?;
        let (seal, digits) = hex(digits, 16)?;
        let id = BranchId {
            slot: u32::try_from(slot).ok()?,
            generation: u32::try_from(generation).ok()?,
            branch: u8::try_from(index).ok()?,
            lap: u32::try_from(lap).ok()?,
        };
        (digits.is_empty() && seal == self.seal(id, call_id, cseq)).then_some(id)
    }

    fn seal(&self, id: BranchId, call_id: &[u8], cseq: u32) -> u64 {
        let BranchId { slot, generation, branch, lap } = id;
        let digest = self.digest("branch").number(slot).number(generation).number(branch.into()).number(lap);
        digest.field(call_id).number(cseq).finish()
    }

    /// The To tag of answers that we make ourselves. The same for the same dialog-to-be, so that an ACK to an answer that
    /// left no state behind is recognised by its To tag.
    pub fn to_tag(&self, call_id: &[u8], from_tag: Option<&[u8]>) -> heapless::String<16> {
        let mut text = heapless::String::new();
        let digest = self.digest("tag").field(call_id).field(from_tag.unwrap_or(b"")).finish();
        let _ = write!(text, "{digest:016x}");
        text
    }
}

/// The number in the first `digits` lower-case hexadecimal digits, and what follows them.
fn hex(text: &[u8], digits: usize) -> Option<(u64, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    let mut value = 0_u64;
    for digit in number {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        value = (value << 4) | u64::from(digit);
    }
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: BranchId = BranchId { slot: 4_000, generation: u32::MAX, branch: 3, lap: 0xdead_beef };

    #[test]
    fn a_branch_opens_for_its_own_request_only() {
        let cookies = Cookies::new(&[7; 32]);
        let branch = cookies.branch(ID, b"call@phone", 314);
        assert!(branch.len() <= BRANCH && branch.as_bytes().starts_with(MAGIC));
        assert_eq!(cookies.open(branch.as_bytes(), b"call@phone", 314), Some(ID));
        assert_eq!(cookies.open(branch.as_bytes(), b"call@phone", 315), None);
        assert_eq!(cookies.open(branch.as_bytes(), b"other@phone", 314), None);
        assert_eq!(Cookies::new(&[8; 32]).open(branch.as_bytes(), b"call@phone", 314), None, "after a restart");
    }

    #[test]
    fn every_changed_character_closes_it() {
        let cookies = Cookies::new(&[7; 32]);
        let branch = cookies.branch(ID, b"c", 1);
        for at in 0..branch.len() {
            let mut forged = branch.as_bytes().to_vec();
            forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(cookies.open(&forged, b"c", 1), None, "character {at}");
        }
        assert_eq!(cookies.open(&branch.as_bytes()[..40], b"c", 1), None);
        assert_eq!(cookies.open(&[branch.as_bytes(), b"0"].concat(), b"c", 1), None);
        assert_eq!(cookies.open(b"", b"c", 1), None);
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let cookies = Cookies::new(&[0; 32]);
        let ab_c = cookies.digest("x").field(b"ab").field(b"c").finish();
        let a_bc = cookies.digest("x").field(b"a").field(b"bc").finish();
        assert_ne!(ab_c, a_bc);
        assert_eq!(cookies.digest("x").folded(b"Host").finish(), cookies.digest("x").folded(b"hOST").finish());
        assert_ne!(cookies.to_tag(b"a", None), cookies.to_tag(b"b", None));
    }
}
