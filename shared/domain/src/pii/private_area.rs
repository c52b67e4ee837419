//! Characters of GB 18030 that software once kept in the private use area, because Unicode did not have them yet.
//!
//! Source: the two-byte codes A2E3, A6D9–A6F3, A8BC, A8BF, A989–A995 and FE50–FEA0 of GB 18030, as GBK and the editions of
//! 2000, 2005 and 2022 map them. The edition of 2022 moved the last 18 of them (U+FE10 to U+FE19, U+9FB4 to U+9FBB) out
//! of the private use area. A record, a keyboard and a bank may each follow another edition.

/// The private code point and the standard one, in the order of the private ones.
#[rustfmt::skip]
const PAIRS: [(char, char); 106] = [
    ('\u{E76C}', '\u{20AC}'), ('\u{E78D}', '\u{FE10}'), ('\u{E78E}', '\u{FE12}'), ('\u{E78F}', '\u{FE11}'),
    ('\u{E790}', '\u{FE13}'), ('\u{E791}', '\u{FE14}'), ('\u{E792}', '\u{FE15}'), ('\u{E793}', '\u{FE16}'),
    ('\u{E794}', '\u{FE17}'), ('\u{E795}', '\u{FE18}'), ('\u{E796}', '\u{FE19}'), ('\u{E7C7}', '\u{1E3F}'),
    ('\u{E7C8}', '\u{1F9}'), ('\u{E7E7}', '\u{303E}'), ('\u{E7E8}', '\u{2FF0}'), ('\u{E7E9}', '\u{2FF1}'),
    ('\u{E7EA}', '\u{2FF2}'), ('\u{E7EB}', '\u{2FF3}'), ('\u{E7EC}', '\u{2FF4}'), ('\u{E7ED}', '\u{2FF5}'),
    ('\u{E7EE}', '\u{2FF6}'), ('\u{E7EF}', '\u{2FF7}'), ('\u{E7F0}', '\u{2FF8}'), ('\u{E7F1}', '\u{2FF9}'),
    ('\u{E7F2}', '\u{2FFA}'), ('\u{E7F3}', '\u{2FFB}'), ('\u{E815}', '\u{2E81}'), ('\u{E816}', '\u{20087}'),
    ('\u{E817}', '\u{20089}'), ('\u{E818}', '\u{200CC}'), ('\u{E819}', '\u{2E84}'), ('\u{E81A}', '\u{3473}'),
    ('\u{E81B}', '\u{3447}'), ('\u{E81C}', '\u{2E88}'), ('\u{E81D}', '\u{2E8B}'), ('\u{E81E}', '\u{9FB4}'),
    ('\u{E81F}', '\u{359E}'), ('\u{E820}', '\u{361A}'), ('\u{E821}', '\u{360E}'), ('\u{E822}', '\u{2E8C}'),
    ('\u{E823}', '\u{2E97}'), ('\u{E824}', '\u{396E}'), ('\u{E825}', '\u{3918}'), ('\u{E826}', '\u{9FB5}'),
    ('\u{E827}', '\u{39CF}'), ('\u{E828}', '\u{39DF}'), ('\u{E829}', '\u{3A73}'), ('\u{E82A}', '\u{39D0}'),
    ('\u{E82B}', '\u{9FB6}'), ('\u{E82C}', '\u{9FB7}'), ('\u{E82D}', '\u{3B4E}'), ('\u{E82E}', '\u{3C6E}'),
    ('\u{E82F}', '\u{3CE0}'), ('\u{E830}', '\u{2EA7}'), ('\u{E831}', '\u{215D7}'), ('\u{E832}', '\u{9FB8}'),
    ('\u{E833}', '\u{2EAA}'), ('\u{E834}', '\u{4056}'), ('\u{E835}', '\u{415F}'), ('\u{E836}', '\u{2EAE}'),
    ('\u{E837}', '\u{4337}'), ('\u{E838}', '\u{2EB3}'), ('\u{E839}', '\u{2EB6}'), ('\u{E83A}', '\u{2EB7}'),
    ('\u{E83B}', '\u{2298F}'), ('\u{E83C}', '\u{43B1}'), ('\u{E83D}', '\u{43AC}'), ('\u{E83E}', '\u{2EBB}'),
    ('\u{E83F}', '\u{43DD}'), ('\u{E840}', '\u{44D6}'), ('\u{E841}', '\u{4661}'), ('\u{E842}', '\u{464C}'),
    ('\u{E843}', '\u{9FB9}'), ('\u{E844}', '\u{4723}'), ('\u{E845}', '\u{4729}'), ('\u{E846}', '\u{477C}'),
    ('\u{E847}', '\u{478D}'), ('\u{E848}', '\u{2ECA}'), ('\u{E849}', '\u{4947}'), ('\u{E84A}', '\u{497A}'),
    ('\u{E84B}', '\u{497D}'), ('\u{E84C}', '\u{4982}'), ('\u{E84D}', '\u{4983}'), ('\u{E84E}', '\u{4985}'),
    ('\u{E84F}', '\u{4986}'), ('\u{E850}', '\u{499F}'), ('\u{E851}', '\u{499B}'), ('\u{E852}', '\u{49B7}'),
    ('\u{E853}', '\u{49B6}'), ('\u{E854}', '\u{9FBA}'), ('\u{E855}', '\u{241FE}'), ('\u{E856}', '\u{4CA3}'),
    ('\u{E857}', '\u{4C9F}'), ('\u{E858}', '\u{4CA0}'), ('\u{E859}', '\u{4CA1}'), ('\u{E85A}', '\u{4C77}'),
    ('\u{E85B}', '\u{4CA2}'), ('\u{E85C}', '\u{4D13}'), ('\u{E85D}', '\u{4D14}'), ('\u{E85E}', '\u{4D15}'),
    ('\u{E85F}', '\u{4D16}'), ('\u{E860}', '\u{4D17}'), ('\u{E861}', '\u{4D18}'), ('\u{E862}', '\u{4D19}'),
    ('\u{E863}', '\u{4DAE}'), ('\u{E864}', '\u{9FBB}'),
];

/// The standard form of a character. Any other character is returned unchanged.
pub(super) fn standard(c: char) -> char {
    let found = PAIRS.binary_search_by_key(&c, |(private, _)| *private);
    found
        .ok()
        .and_then(|at| PAIRS.get(at))
        .map_or(c, |(_, standard)| *standard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_leaves_the_private_area() {
        assert!(PAIRS.is_sorted());
        let mut standards: Vec<char> = PAIRS.iter().map(|(_, standard)| *standard).collect();
        standards.sort_unstable();
        standards.dedup();
        assert_eq!(standards.len(), PAIRS.len());
        let is_private = |c: char| ('\u{E000}'..='\u{F8FF}').contains(&c);
        for (private, its) in PAIRS {
            assert!(is_private(private) && !is_private(its));
            assert_eq!(standard(private), its);
            assert_eq!(standard(its), its);
        }
    }

    /// The private code points of FE50 to FEA0 follow the order of the codes, as do those of A6D9 and A989.
    #[test]
    fn known_characters_have_their_pairs() {
        for (private, its) in [
            ('\u{E863}', '䶮'),
            ('\u{E864}', '\u{9FBB}'),
            ('\u{E81E}', '\u{9FB4}'),
            ('\u{E826}', '\u{9FB5}'),
            ('\u{E82B}', '\u{9FB6}'),
            ('\u{E82C}', '\u{9FB7}'),
            ('\u{E832}', '\u{9FB8}'),
            ('\u{E843}', '\u{9FB9}'),
            ('\u{E854}', '\u{9FBA}'),
            ('\u{E78D}', '\u{FE10}'),
            ('\u{E796}', '\u{FE19}'),
            ('\u{E7C7}', '\u{1E3F}'),
            ('\u{E855}', '\u{241FE}'),
        ] {
            assert_eq!(standard(private), its);
        }
        for c in ['测', '\u{E000}', '\u{E865}', '\u{F8FF}'] {
            assert_eq!(standard(c), c);
        }
    }
}
