// Lists and queries the shared tables with the official TypeScript SDK: node other_client.mjs MCP_URL SSE_URL [TOKEN]
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ResourceListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

const [, , mcp, sse, token] = process.argv;
const headers = token ? { Authorization: `Bearer ${token}` } : {};
const said = {};
for (const [name, transport] of [
  ["http", new StreamableHTTPClientTransport(new URL(mcp), { requestInit: { headers } })],
  ["sse", new SSEClientTransport(new URL(sse), { requestInit: { headers } })],
]) {
  const client = new Client({ name: "independent", version: "1.0.0" });
  let heard = () => {};
  const change = new Promise((resolve) => (heard = resolve));
  client.setNotificationHandler(ResourceListChangedNotificationSchema, () => heard("heard"));
  try {
    await client.connect(transport);
    const tools = (await client.listTools()).tools.map((tool) => tool.name);
    const tables = (await client.callTool({ name: "list_tables", arguments: {} })).structuredContent.rows;
    const sql = "select id, name from sales order by id";
    const first = await client.callTool({ name: "query", arguments: { sql, limit: 2 } });
    const cursor = first.structuredContent.next_cursor;
    const rest = await client.callTool({ name: "query", arguments: { sql, limit: 2, cursor } });
    const resources = (await client.listResources()).resources.map((resource) => resource.uri);
    const csv = (await client.readResource({ uri: `${resources[0]}/rows.csv` })).contents[0].text;
    const prompt = await client.getPrompt({ name: "explore_table", arguments: { table: "sales" } });
    const completed = await client.complete({
      ref: { type: "ref/resource", uri: "notebook://tables/{name}/rows.csv" },
      argument: { name: "name", value: "s" },
    });
    process.stdout.write(`connected ${name}\n`);
    const late = new Promise((resolve) => setTimeout(() => resolve("nothing"), 20000).unref());
    said[name] = {
      tools,
      tables: tables.map((row) => row[0]),
      rows: [...first.structuredContent.rows, ...rest.structuredContent.rows],
      csv,
      prompt: prompt.messages.length,
      completed: completed.completion.values,
      change: await Promise.race([change, late]),
    };
  } catch (error) {
    said[name] = { error: String(error?.code ?? error), message: String(error) };
  }
  await client.close();
}
process.stdout.write(JSON.stringify(said) + "\n");
process.exit(0);
