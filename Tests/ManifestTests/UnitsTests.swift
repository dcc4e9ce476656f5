import Foundation
import Testing

@testable import Manifest

@Suite struct UnitsTests {
    @Test(arguments: [
        ("250ms", Duration.milliseconds(250)), ("10s", .seconds(10)), ("5m", .seconds(300)), ("36h", .seconds(129_600)),
        ("30d", .seconds(2_592_000)), ("0s", .zero),
    ]) func readsAndWritesDurations(text: String, duration: Duration) {
        #expect(DurationText.parse(text) == duration)
        #expect(DurationText.parse(DurationText.text(duration)) == duration)
    }

    @Test(arguments: ["", "10", "s", "1.5s", "-1s", "10 s", "10S", "1h30m", "٣s", "9999999999999s"])
    func refusesOtherDurations(text: String) {
        #expect(DurationText.parse(text) == nil)
    }

    @Test(arguments: [("512B", 512), ("64KiB", 65_536), ("4MiB", 4_194_304), ("1GiB", 1_073_741_824), ("0B", 0)])
    func readsAndWritesSizes(text: String, bytes: Int) {
        #expect(SizeText.parse(text) == bytes)
        #expect(SizeText.text(bytes) == text)
    }

    @Test(arguments: ["", "1", "1MB", "1 MiB", "1mib", "1.5MiB", "999999999999GiB"]) func refusesOtherSizes(
        text: String
    ) {
        #expect(SizeText.parse(text) == nil)
    }

    @Test(arguments: ["exponential 2s max 10m", "exponential 500ms", "fixed 5s", "fixed 0s"])
    func readsAndWritesBackoffs(text: String) {
        #expect(BackoffPolicy(text)?.description == text)
    }

    @Test(arguments: [
        "", "fixed", "fixed 5", "exponential", "exponential 0s", "exponential 10m max 2s", "linear 2s",
        "fixed 5s max 1m",
    ])
    func refusesOtherBackoffs(text: String) {
        #expect(BackoffPolicy(text) == nil)
    }

    @Test(arguments: [
        ("campaign", "campaigns"), ("camapigns", "campaigns"), ("INBOUND", "inbound"), ("outbuond", "outbound"),
    ]) func suggestsWhatWasMeant(word: String, meant: String) {
        #expect(Suggestion.nearest(to: word, among: ["inbound", "outbound", "campaigns"]) == meant)
    }

    @Test func suggestsNothingFarFetched() {
        #expect(Suggestion.nearest(to: "mail", among: ["inbound", "outbound", "campaigns"]) == nil)
    }

    @Test func theSchemaIsJSONAndKnowsEveryKey() throws {
        let json = try #require(
            JSONSerialization.jsonObject(with: Data(Manifest.jsonSchema.utf8)) as? [String: Any]
        )
        let definitions = try #require(json["$defs"] as? [String: [String: Any]])
        let keys = (definitions["function"]?["properties"] as? [String: Any])?.keys.sorted()

        let expected = ["handler", "doc", "http", "queue", "schedule"] + Options.common + Options.keys.values.joined()
        #expect(keys == Set(expected).sorted())
    }
}
