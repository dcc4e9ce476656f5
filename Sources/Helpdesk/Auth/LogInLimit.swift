import Functions

/// Counts failed log-ins: of one e-mail address from one caller's address, of it from anywhere, and from one caller's
/// address.
///
/// Each count lives for the window that its first failure opens. It is looked at before the password is hashed, so that a
/// flood costs nothing, and again when the result is known: of guesses sent at once, those beyond the limit learn nothing,
/// not even the right one.
struct LogInLimit: Sendable {
    private let limit: RequestLimit

    init(email: String, in context: HTTPContext) throws {
        let email = email.lowercased()
        let address = context.request.address ?? ""
        limit = RequestLimit(
            [
                .init("login-pair", email + "\u{0}" + address, limit: try context.integer("LOGIN_LIMIT_PAIR")),
                .init("login-email", email, limit: try context.integer("LOGIN_LIMIT_EMAIL")),
                .init("login-address", address, limit: try context.integer("LOGIN_LIMIT_ADDRESS")),
            ],
            window: try context.duration("LOGIN_LIMIT_WINDOW"),
            refusal: "Too many failed log-ins. Try again later.",
            in: context
        )
    }

    /// - Throws: ``Failure/tooMany(_:retryAfter:)`` when a limit is reached.
    func check() async throws { try await limit.check() }

    /// Counts a failure, unless a limit was reached meanwhile.
    ///
    /// - Throws: ``Failure/tooMany(_:retryAfter:)`` in that case, so that a wrong password and a right one look alike.
    func countFailure() async throws { try await limit.count() }

    /// Forgets the failures of the e-mail address after a right password.
    ///
    /// - Throws: ``Failure/tooMany(_:retryAfter:)`` when a limit was reached meanwhile.
    func clear() async throws { try await limit.forget(first: 2) }
}
