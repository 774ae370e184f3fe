import type { ChatRequest } from '#contracts/openai/chat-request.js';
import { chosenTools } from '#contracts/openai/tool-choice.js';
import { plainJson, structureWish } from '#contracts/structure-wish.js';
import { AppError } from '#runtime/app-error.js';
import type { SequenceRequest } from './generation-plan.js';

type ToolFields = Pick<ChatRequest, 'tools' | 'tool_choice'>;

/** The tools that the model may call. */
export function callableTools({ tools, tool_choice }: ToolFields) {
  const { mode, names } = chosenTools(tool_choice);
  if (mode === 'none') return [];
  return (tools ?? []).filter((tool) => names?.includes(tool.function.name) ?? true);
}

/**
 * What calls are held to: where one must come, or of certain tools only, or with arguments that fit their schema; and beside a
 * structure, which would allow none otherwise.
 */
export function callsOf(request: ChatRequest): Pick<SequenceRequest, 'calls'> {
  const { mode, names, isOne = false } = chosenTools(request.tool_choice);
  const callable = callableTools(request);
  checkChoice(request);
  const isStrict = callable.some((tool) => tool.function.strict === true);
  const isHeld =
    mode === 'required' || names !== undefined || isStrict || structureWish(request) !== undefined;
  if (callable.length === 0 || !isHeld) return {};
  return {
    calls: {
      tools: callable.map((tool) => {
        const { name, strict, parameters } = tool.function;
        const field = `tools[${request.tools?.indexOf(tool)}].function.parameters`;
        return { name, strict: strict === true, field, schema: argumentsSchema(parameters, field) };
      }),
      required: mode === 'required',
      parallel: !isOne && request.parallel_tool_calls !== false,
    },
  };
}

/** Requests of other forms than OpenAI's were not held to its rules. */
function checkChoice({ tools, tool_choice }: ToolFields): void {
  const { mode, names = [] } = chosenTools(tool_choice);
  const known = new Set(tools?.map((tool) => tool.function.name));
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined) throw badChoice(`there is no tool ${JSON.stringify(unknown)}`);
  if (mode === 'required' && known.size === 0)
    throw badChoice('a tool can only be called where there are tools');
}

function badChoice(message: string): AppError {
  return new AppError('invalid_request', { message: `tool_choice: ${message}`, param: 'tool_choice' });
}

/** Arguments are an object; without a schema a function takes none. */
function argumentsSchema(parameters: unknown, field: string): unknown {
  const schema = plainJson(parameters ?? { type: 'object' });
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema))
    throw new AppError('invalid_request', {
      message: `${field}: expected a JSON Schema object`,
      param: field,
    });
  return 'type' in schema ? schema : { type: 'object', ...schema };
}
