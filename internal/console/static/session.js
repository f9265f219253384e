/** Who a side is: signed in with a password, or with a token that was pasted. */
import { signIn } from "./roomspa.js";
import { decode, server } from "./dom.js";

/** Signs in. The tokens stay in memory, so a reload of the page forgets them. */
export async function withPassword(identifier, password) {
  const session = await signIn({ url: server, identifier, password });
  const { id, email, role } = session.user;
  return { user: id, role, name: email ?? identifier, getToken: session.getToken, signOut: session.signOut };
}

/** Uses a token. Nobody can renew it, so the side ends with it. */
export async function withToken(token) {
  token = token.trim();
  const user = Number(decode(token)?.user_id) || null;
  const getToken = async ({ refused } = {}) => {
    if (refused !== token) return token;
    throw Object.assign(new Error("The token is not accepted any more. Paste a fresh one."), { final: true });
  };
  return { user, role: await roleOf(user, token), name: "by token", getToken, signOut: async () => {} };
}

/** A token has no role. The user's conversations tell on which side they are. */
async function roleOf(user, token) {
  try {
    const response = await fetch(`${server}/api/conversations/?limit=1`, { headers: { Authorization: `Bearer ${token}` } });
    const [conversation] = (await response.json()).conversations;
    return conversation.customer_id === user ? "customer" : "therapist";
  } catch {
    return null; // refused, or there is no conversation: the socket says more
  }
}
