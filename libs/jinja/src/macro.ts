import { typeError } from './errors.js';
import { Scope } from './scope.js';
import { Callable, Dict, type NamedArguments, Tuple, Undefined, type Value } from './values.js';

export interface MacroDefinition {
  readonly name: string;
  readonly parameters: readonly string[];
  /** Of the last parameters; evaluated at the call, where earlier parameters are known. */
  readonly defaults: readonly ((scope: Scope) => Value)[];
  /** The body reads these names, so that the macro takes what they stand for. */
  readonly uses: { readonly varargs: boolean; readonly kwargs: boolean; readonly caller: boolean };
  readonly run: (scope: Scope) => Value;
}

/** A macro, bound to the scope where it was defined. */
export class Macro extends Callable {
  override readonly typeName = 'Macro';

  constructor(
    private readonly definition: MacroDefinition,
    outer: Scope,
  ) {
    super(definition.name, (args, named) => definition.run(bind(definition, outer, args, named)));
  }

  override attribute(name: string): Value | undefined {
    const { uses, parameters } = this.definition;
    switch (name) {
      case 'name':
        return this.definition.name;
      case 'arguments':
        return new Tuple(parameters);
      case 'catch_kwargs':
        return uses.kwargs;
      case 'catch_varargs':
        return uses.varargs;
      case 'caller':
        return uses.caller;
      default:
        return undefined;
    }
  }

  override repr(): string {
    return `<Macro '${this.definition.name}'>`;
  }
}

function bind(
  definition: MacroDefinition,
  outer: Scope,
  args: readonly Value[],
  named: NamedArguments,
): Scope {
  const { name, parameters, uses } = definition;
  const scope = new Scope(outer);
  const rest = new Map(named);
  bindParameters(definition, scope, args, rest);
  if (uses.caller) {
    if (!parameters.includes('caller')) {
      scope.set(
        'caller',
        rest.has('caller') ? (rest.get('caller') as Value) : new Undefined('No caller defined'),
      );
    }
    rest.delete('caller');
  }
  if (uses.kwargs) scope.set('kwargs', Dict.of(rest));
  else if (rest.size > 0) {
    throw typeError(`macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`);
  }
  if (uses.varargs) scope.set('varargs', new Tuple(args.slice(parameters.length)));
  else if (args.length > parameters.length) {
    throw typeError(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
  }
  return scope;
}

/** Takes the parameters out of `rest`. */
function bindParameters(
  { name, parameters, defaults }: MacroDefinition,
  scope: Scope,
  args: readonly Value[],
  rest: Map<string, Value>,
): void {
  const firstDefault = parameters.length - defaults.length;
  for (const [i, parameter] of parameters.entries()) {
    const given = args[i];
    if (given !== undefined) {
      if (rest.has(parameter))
        throw typeError(`macro '${name}' got multiple values for argument '${parameter}'`);
      scope.set(parameter, given);
      continue;
    }
    const byName = rest.get(parameter);
    rest.delete(parameter);
    const fallback = defaults[i - firstDefault];
    if (byName !== undefined) scope.set(parameter, byName);
    else if (fallback !== undefined) scope.set(parameter, fallback(scope));
    else scope.set(parameter, new Undefined(`parameter '${parameter}' was not provided`));
  }
}
