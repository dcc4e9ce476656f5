/// Guesses what somebody meant to write.
enum Suggestion {
    /// `did you mean "x"?` for the candidate nearest to `word`, if one is near enough to be worth saying.
    static func hint(for word: String, among candidates: some Sequence<String>) -> String? {
        nearest(to: word, among: candidates).map { "did you mean \"\($0)\"?" }
    }

    /// The candidate that the fewest slips turn into `word`: at most one in three characters, or nothing is.
    static func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
        let most = max(1, word.count / 3)
        let folded = word.lowercased()
        let near = candidates.lazy
            .filter { $0 != word }
            .map { (candidate: $0, slips: slips(from: folded, to: $0.lowercased())) }
            .filter { $0.slips <= most }
        return near.min { ($0.slips, $0.candidate) < ($1.slips, $1.candidate) }?.candidate
    }

    /// Insertions, deletions, replacements and swaps of neighbours that turn one into the other (optimal string alignment).
    private static func slips(from one: String, to other: String) -> Int {
        let one = Array(one)
        let other = Array(other)
        guard !one.isEmpty, !other.isEmpty else { return max(one.count, other.count) }
        var beforeLast: [Int] = []
        var last = Array(0...other.count)
        for i in 1...one.count {
            var row = [i]
            for j in 1...other.count {
                var slips = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (one[i - 1] == other[j - 1] ? 0 : 1))
                if i > 1, j > 1, one[i - 1] == other[j - 2], one[i - 2] == other[j - 1] {
                    slips = min(slips, beforeLast[j - 2] + 1)
                }
                row.append(slips)
            }
            (beforeLast, last) = (last, row)
        }
        return last[other.count]
    }
}
