import Connectors

/// What becomes of a file that couldn't be fetched.
enum AttachmentVerdict: Sendable, Equatable {
    case again(after: Duration)
    case failed

    /// Why a fetch ended without a file.
    enum Fault: Error, Sendable, Equatable {
        /// It will never work; the text is for people.
        case final(String)
        /// It may work for as long as the provider keeps the file.
        case passing(String)
        /// What came is not what was announced; another try may bring it whole, and many won't.
        case damaged(String)

        var reason: String {
            switch self {
            case .final(let text), .passing(let text), .damaged(let text): text
            }
        }
    }

    /// Decides by how many `attempts` have begun, the message's `age`, and for how long the provider keeps the file; `jitter` is 0…1.
    init(_ fault: Fault, attempts: Int, age: Duration, kept: Duration, jitter: Double) {
        let most = 5
        // Ten seconds, doubled each time, at most an hour; of it between a half and all.
        let pause = min(10.0 * Double(1 << min(max(attempts - 1, 0), 20)), 3600) * (0.5 + jitter / 2)
        switch fault {
        case .final: self = .failed
        case .damaged where attempts >= most: self = .failed
        case .damaged, .passing: self = age + .seconds(pause) > kept ? .failed : .again(after: .seconds(pause))
        }
    }
}
