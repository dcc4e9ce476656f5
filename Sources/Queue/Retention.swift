/// How many finished jobs of a queue are kept, and for how long; applied whenever a job of it finishes.
package struct Retention: Sendable, Hashable {
    /// The newest so many stay; `nil` sets no bound, 0 removes the job at once.
    package let count: Int?
    /// Jobs that finished longer ago go.
    package let age: Duration?

    package init(count: Int? = nil, age: Duration? = nil) {
        self.count = count.map { max(0, $0) }
        self.age = age
    }

    package static let all = Retention()
    package static let nothing = Retention(count: 0)
}

extension Retention {
    /// Reads `removeOnComplete` or `removeOnFail`; `nil` when the text says nothing that is known.
    init?(_ json: JSONText) {
        switch json {
        case .bool(let removes): self = removes ? .nothing : .all
        case .number: self.init(count: json.integer.flatMap { $0 < 0 ? nil : $0 })
        case .object:
            self.init(
                count: json["count"]?.integer.flatMap { $0 < 0 ? nil : $0 },
                age: json["age"]?.number.flatMap { $0 > 0 ? .milliseconds(Int64(min($0, 1e12) * 1000)) : nil }
            )
        default: return nil
        }
    }

    /// As it stands in `opts`; `age` is in seconds there.
    var json: String {
        switch (count, age) {
        case (nil, nil): "false"
        case (0, _): "true"
        case (let count?, nil): "{\"count\":\(count)}"
        case (nil, let age?): "{\"age\":\(Self.seconds(age))}"
        case (let count?, let age?): "{\"age\":\(Self.seconds(age)),\"count\":\(count)}"
        }
    }

    /// What the script is told: -1 keeps any number, 0 keeps any age.
    var scriptCount: Int64 { count.map(Int64.init) ?? -1 }
    var scriptAge: Int64 { age.map(Self.seconds) ?? 0 }

    private static func seconds(_ age: Duration) -> Int64 { max(1, (age.milliseconds + 999) / 1000) }
}
