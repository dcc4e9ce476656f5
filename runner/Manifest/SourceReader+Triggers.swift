import Cron
package import Foundation
import Yams

extension SourceReader {
    /// The trigger of that kind, with what `options` say of it.
    func trigger(
        _ kind: Trigger.Kind,
        _ section: Section,
        _ options: Options,
        _ own: Options,
        _ world: DeclaredNames
    ) -> Trigger? {
        guard let node = section[kind.rawValue]?.value, let word = word(node, kind.rawValue) else { return nil }
        switch kind {
        case .http: return route(word, options, own, section).map(Trigger.http)
        case .queue: return queue(word, options, world).map(Trigger.queue)
        case .schedule: return schedule(word, options).map(Trigger.schedule)
        }
    }

    // MARK: HTTP

    private func route(_ word: Word, _ options: Options, _ own: Options, _ section: Section) -> HTTPTrigger? {
        let parts = word.text.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty else {
            fault(at: word.position, "http must be a method and a path such as GET /orgs/:orgId, not \"\(word.text)\"")
            return nil
        }
        let method = method(String(parts[0]), word)
        let path = path(parts[1], word, options)
        for name in own.parameters.keys.sorted() where path.map({ !$0.parameters.contains(name) }) ?? false {
            let position = section["params"]?.position ?? word.position
            fault(
                at: position,
                "the path has no parameter \":\(name)\"",
                hint: Suggestion.hint(for: name, among: path?.parameters ?? [])
            )
        }
        guard let method, let path else { return nil }
        return HTTPTrigger(method: method, path: path)
    }

    private func method(_ text: String, _ word: Word) -> HTTPTrigger.Method? {
        if let method = HTTPTrigger.Method(rawValue: text) { return method }
        let all = HTTPTrigger.Method.allCases.map(\.rawValue)
        let hint: String? =
            switch text.uppercased() {
            case "HEAD", "OPTIONS": "every path answers HEAD and OPTIONS by itself"
            case let upper where all.contains(upper): "did you mean \"\(upper)\"?"
            default: Suggestion.hint(for: text, among: all)
            }
        fault(at: word.position, "unknown method \"\(text)\"", hint: hint ?? "known are \(all.joined(separator: ", "))")
        return nil
    }

    private func path(_ text: Substring, _ word: Word, _ options: Options) -> PathPattern? {
        var offset = word.text.unicodeScalars.distance(from: word.text.startIndex, to: text.startIndex)
        guard text.hasPrefix("/") else {
            fault(at: word.position(at: offset), "the path \"\(text)\" must begin with a slash")
            return nil
        }
        guard text != "/" else { return PathPattern([]) }
        var segments: [PathPattern.Segment] = []
        var isGood = true
        for part in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            offset += 1
            if let segment = segment(part, offset, word, options, before: segments) {
                segments.append(segment)
            } else {
                isGood = false
            }
            offset += part.unicodeScalars.count
        }
        return isGood ? PathPattern(segments) : nil
    }

    private func segment(
        _ part: Substring,
        _ offset: Int,
        _ word: Word,
        _ options: Options,
        before: [PathPattern.Segment]
    ) -> PathPattern.Segment? {
        let position = word.position(at: offset)
        guard !part.isEmpty else {
            fault(at: position, "the path has an empty segment", hint: "take out the doubled or last slash")
            return nil
        }
        guard part.hasPrefix(":") else {
            let good = part.unicodeScalars.prefix { PathPattern.isLiteral($0) }.count
            guard good < part.unicodeScalars.count else { return .literal(String(part)) }
            let hint = part.contains("{") ? "a parameter is written \":name\"" : nil
            fault(
                at: word.position(at: offset + good),
                "the path segment \"\(part)\" has a character that it can't",
                hint: hint
            )
            return nil
        }
        let name = String(part.dropFirst())
        guard PathPattern.isParameterName(name) else {
            fault(at: position, "the parameter \"\(part)\" must be \":\", a letter, then letters and digits")
            return nil
        }
        guard let type = options.parameters[name] else {
            let hint = Suggestion.hint(for: name, among: options.parameters.keys)
            fault(at: position, "undeclared parameter \":\(name)\"", hint: hint ?? "add it to params with its type")
            return nil
        }
        if PathPattern(before).parameters.contains(name) {
            fault(at: position, "the parameter \":\(name)\" is in the path twice")
            return nil
        }
        return .parameter(name, type)
    }

    // MARK: Queue and schedule

    private func queue(_ name: Word, _ options: Options, _ world: DeclaredNames) -> QueueTrigger? {
        guard checkQueueName(name) else { return nil }
        if let queues = world.queues, !queues.contains(name.text) {
            let hint = Suggestion.hint(for: name.text, among: queues)
            fault(at: name.position, "unknown queue \"\(name.text)\"", hint: hint ?? "declare it under queues")
            return nil
        }
        return QueueTrigger(
            queue: name.text,
            batch: options.batch ?? 1,
            concurrency: options.concurrency ?? 1,
            attempts: options.attempts ?? 1,
            backoff: options.backoff ?? nil
        )
    }

    private func schedule(_ word: Word, _ options: Options) -> ScheduleTrigger? {
        do {
            return ScheduleTrigger(
                cron: try CronExpression(word.text),
                timezone: options.timezone ?? "UTC",
                overlap: options.overlap ?? .skip
            )
        } catch {
            fault(at: word.position(at: error.offset), error.message)
            return nil
        }
    }
}

extension PathPattern {
    /// A letter, then letters and digits, all ASCII.
    static func isParameterName(_ name: String) -> Bool {
        name.first.map { $0.isASCII && $0.isLetter } ?? false
            && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
    }

    /// What a segment may hold unencoded: "unreserved" of RFC 3986, section 2.3.
    static func isLiteral(_ scalar: Unicode.Scalar) -> Bool {
        scalar.isASCII && (scalar.properties.isAlphabetic || "0123456789-._~".unicodeScalars.contains(scalar))
    }
}

extension ScheduleTrigger {
    static func knows(zone: String) -> Bool {
        TimeZone(identifier: zone) != nil
    }

    /// A hint for a misspelt zone.
    static func nearestZone(to name: String) -> String? {
        Suggestion.hint(for: name, among: TimeZone.knownTimeZoneIdentifiers)
    }

    /// The zone itself.
    package var zone: TimeZone { TimeZone(identifier: timezone) ?? .gmt }

    /// The first time after `date` at which it fires; see ``CronExpression/next(after:in:)``.
    package func next(after date: Date) -> Date? {
        cron.next(after: date, in: zone)
    }
}
